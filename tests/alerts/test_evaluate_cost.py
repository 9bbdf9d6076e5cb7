"""10,000 series every 10 s: within one core and 200 MB."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np

from alerts.detection.inputs import DetectionInputs
from alerts.detection.panes import ScopeValue
from alerts.detection.series import WHOLE_SHOP
from alerts.evaluate import evaluate
from alerts.findings import Condition
from alerts.memory import EvaluationMemory, to_bytes
from alerts.rules.file import read_rules
from tests.alerts.dense_panes import DensePanes

SERIES_A_RULE = 2500
STAGES = (
    ("orders_created", "checkouts"),
    ("checkouts", "cart_adds"),
    ("cart_adds", "product_views"),
    ("orders_paid", "orders_created"),
)
COUNTERS = ("product_views", "cart_adds", "checkouts", "orders_created", "orders_paid")
RULES = "rules:\n" + "".join(
    f"  - {{name: stage-{i}, title: Stage, for_each: [all, category], "
    f"detect: {{kind: sequential, count: {count}, per: {per}, lag: 15s, least_baseline: 20}}}}\n"
    for i, (count, per) in enumerate(STAGES)
)


def test_ten_thousand_series_are_cheap_and_none_of_them_is_wrong() -> None:
    rules = read_rules(RULES).rules
    assert rules is not None
    labels: list[ScopeValue] = [WHOLE_SHOP, *(("category", f"c-{i}") for i in range(1, SERIES_A_RULE))]
    rng, memory, spent_s = np.random.default_rng(1), EvaluationMemory(), []
    wrong: set[str] = set()
    tracemalloc.start()
    for start_s in range(1_762_776_000, 1_762_776_000 + 900, 10):
        stages = [rng.poisson(30, SERIES_A_RULE)]
        for share in (0.33, 0.6, 0.8, 0.9):
            stages.append(rng.binomial(stages[-1], share))
        table = np.stack(stages, axis=1)[None].astype(np.int32)
        table[:, 0] = table[:, 1:].sum(axis=1)
        spread = np.concatenate((table, np.zeros((9, *table.shape[1:]), np.int32)))
        snapshot = DetectionInputs((start_s + 10) * 1000, DensePanes(start_s, labels, COUNTERS, spread))
        begun_s = time.process_time()
        evaluation, memory = evaluate(rules, snapshot, memory)
        spent_s.append(time.process_time() - begun_s)
        wrong |= {str(one.series) for one in evaluation.findings if one.condition is Condition.BREACHED}
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.median(spent_s) < 1.0, "of the 10 s that there are"
    assert most < 150e6
    assert len(to_bytes(memory)) < 45e6
    assert wrong == set()
