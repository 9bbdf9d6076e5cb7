"""The generated function equals the formulas, one by one."""

from __future__ import annotations

import random

from streams.dictionary.builtin import BUILT_IN
from streams.dictionary.file import read_model_file
from streams.dictionary.generated import generate_values
from streams.model.kpis import KPIS, values
from streams.panes.scopes import SCOPES

NAMES = sorted({name for kpi in KPIS for name in kpi.inputs} | {m.name for m in BUILT_IN.public_measures})


def test_generated_values_equal_each_formula_with_zeros_and_missing_numbers() -> None:
    random_ = random.Random(7)
    every = frozenset(BUILT_IN.names)
    for _ in range(300):
        sums = {name: random_.choice((0, 1, 7, 10**15)) for name in NAMES if random_.random() < 0.8}
        for scope in SCOPES:
            assert values(sums, scope) == values(sums, scope, every)
            assert list(values(sums, scope)) == list(BUILT_IN.names)


def test_own_metrics_use_metrics_and_numbers_of_code_in_any_order() -> None:
    text = """\
version: 1
metrics:
  - {name: twice, formula: 2 * share}
  - {name: share, formula: net_gmv / gmv}
  - {name: waiting, formula: unshipped_orders / orders_paid}
  - {name: large, formula: gmv * gmv * gmv}
"""
    model = read_model_file(text, exponent=2).model
    assert model is not None
    coded = {m.name: (("waiting_sum",), lambda sums: sums["waiting_sum"]) for m in model.metrics.values() if m.source}
    compute = generate_values(model, "all", coded)
    answer = compute({"gmv": 200, "refunds": 50, "orders_paid": 4, "waiting_sum": 3})
    names = ("twice", "share", "waiting", "large", "aov")
    assert [answer[name] for name in names] == [1.5, 0.75, 0.75, 8_000_000, 50.0]
    assert compute({"gmv": 0, "refunds": 50})["twice"] is None
    assert compute({"gmv": 10**7, "refunds": 0})["large"] is None
    assert compute({})["waiting"] is None
