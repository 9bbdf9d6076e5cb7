"""Cost of the sequential rules: 10,000 series with baselines, evaluated every 10 s, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time

import msgspec
import numpy as np
import psutil

from alerts.detection.inputs import DetectionInputs
from alerts.detection.panes import ScopeValue
from alerts.detection.series import WHOLE_SHOP
from alerts.evaluate import evaluate
from alerts.findings import Condition
from alerts.memory import EvaluationMemory, to_bytes
from alerts.rules.file import read_rules
from tests.alerts.dense_panes import DensePanes
from tests.bench.ground import BenchError
from tests.bench.report import Part, Table, Target, say

SERIES, INTERVAL_S, LASTS_S = 10_000, 10, 1800
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
_START_S = 1_762_776_000


class EvaluationCost(msgspec.Struct, frozen=True):
    """What the evaluations of a time cost."""

    series: int
    cpu_s: list[float]
    """Of each evaluation."""
    memory_mb: float
    """Resident memory of the process at its peak."""
    grown_mb: float
    """The same beyond that before the first evaluation."""
    stored_mb: float
    """Serialized memory of the evaluation."""
    breached: int
    """Series that were breached; all are calm."""


def evaluations(lasts_s: int = LASTS_S, series: int = SERIES) -> EvaluationCost:
    """Evaluate calm shops with this many series in four rules."""
    rules = read_rules(RULES).rules
    assert rules is not None
    width = series // len(STAGES)
    labels: list[ScopeValue] = [WHOLE_SHOP, *(("category", f"c-{i}") for i in range(1, width))]
    rng, memory, cpu_s = np.random.default_rng(1), EvaluationMemory(), []
    breached: set[str] = set()
    before = peak = psutil.Process().memory_info().rss
    for start_s in range(_START_S, _START_S + lasts_s, INTERVAL_S):
        stages = [rng.poisson(30, width)]
        for share in (0.33, 0.6, 0.8, 0.9):
            stages.append(rng.binomial(stages[-1], share))
        table = np.stack(stages, axis=1)[None].astype(np.int32)
        table[:, 0] = table[:, 1:].sum(axis=1)
        spread = np.concatenate((table, np.zeros((INTERVAL_S - 1, *table.shape[1:]), np.int32)))
        panes = DensePanes(start_s, labels, COUNTERS, spread)
        begun_s = time.process_time()
        evaluation, memory = evaluate(rules, DetectionInputs((start_s + INTERVAL_S) * 1000, panes), memory)
        cpu_s.append(time.process_time() - begun_s)
        peak = max(peak, psutil.Process().memory_info().rss)
        breached |= {str(one.series) for one in evaluation.findings if one.condition is Condition.BREACHED}
    mb = 1 << 20
    return EvaluationCost(
        width * len(STAGES), cpu_s, peak / mb, (peak - before) / mb, len(to_bytes(memory)) / mb, len(breached)
    )


def measure() -> Part:
    """The whole part."""
    part = Part("Rules")
    say(f"rules: {SERIES:,} series with baselines, evaluated every {INTERVAL_S} s for {LASTS_S // 60} min of events")
    done = subprocess.run([sys.executable, "-m", "tests.bench.rules"], capture_output=True, check=False)
    if done.returncode:
        raise BenchError(f"the evaluations failed: {done.stderr.decode(errors='replace')[-300:]}")
    cost = msgspec.json.decode(done.stdout, type=EvaluationCost)
    median_s, longest_s = float(np.median(cost.cpu_s)), max(cost.cpu_s)
    columns = ["series", "CPU an evaluation, p50, s", "max, s", "process, peak MB", "of which the rules", "stored, MB"]
    table = Table(f"Sequential rules, evaluated every {INTERVAL_S} s", columns)
    table.rows.append([cost.series, median_s, longest_s, cost.memory_mb, cost.grown_mb, cost.stored_mb])
    part.tables.append(table)
    part.targets += [
        Target(f"CPU of {cost.series:,} series, max", longest_s, "s", INTERVAL_S),
        Target("memory of the process, peak", cost.memory_mb, "MB", 200),
    ]
    if cost.breached:
        part.wrong.append(f"{cost.breached} of {cost.series:,} calm series were breached")
    part.runs.append(msgspec.to_builtins(cost))
    return part


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(evaluations()))
