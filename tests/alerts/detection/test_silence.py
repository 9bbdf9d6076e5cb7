"""Silent producers: nothing arrives, of whatever time."""

from __future__ import annotations

import numpy as np
import pytest

from alerts.detection.inputs import DetectionInputs
from alerts.detection.panes import CellPanes, ScopeValue
from alerts.evaluate import evaluate
from alerts.findings import Condition
from alerts.memory import EvaluationMemory
from alerts.rules.file import read_rules
from alerts.viewing.arrivals import ArrivalReader, span_to_read
from streams.model.windows import Span
from streams.panes.cells import Cells
from streams.panes.counters import COUNTER_IDS
from streams.panes.keys import pane_keys

START_S = 1_762_776_000
CALM_S, WRONG_S = 600, 240
LABELS: tuple[ScopeValue, ...] = (("source", "orders/oms-1"), ("source", "orders/oms-2"))
RULES = """
rules:
  - name: silent
    title: A producer is silent
    category: data
    for_each: [source]
    detect: {kind: silence, count: [orders_created], after: 5s, least_expected: 30}
"""
NEVER = 1 << 40


def silent_seconds(shift_s: int, delay_s: int) -> list[int]:
    """Seconds after the calm at which a producer is silent. Its events then have times that are wrong by `shift_s`, and
    arrive `delay_s` after they happened."""
    rules = read_rules(RULES).rules
    assert rules is not None
    happened = np.repeat(np.arange(CALM_S + WRONG_S), 2)
    is_wrong = happened >= CALM_S
    times, arrivals = happened + shift_s * is_wrong, happened + delay_s * is_wrong
    reader, memory, found = ArrivalReader(), EvaluationMemory(), []
    for end in range(10, CALM_S + WRONG_S):
        span = Span(START_S + end - 1, START_S + end)
        wide = span_to_read(span)
        keys = [
            pane_keys(START_S + seconds, np.full(len(seconds), row), np.int64(COUNTER_IDS["orders_created"]))
            for row, seconds in enumerate((times[arrivals < end + 2], happened[happened < end + 2]))
        ]
        cells = Cells(np.concatenate(keys), np.ones(sum(map(len, keys)), np.int64)).sorted()
        panes = reader.take(span, CellPanes(wide.start_s, wide.end_s, LABELS, cells.between(wide.start_s, wide.end_s)))
        evaluation, memory = evaluate(rules, DetectionInputs(1000 * (START_S + end + 2), panes), memory)
        if any(finding.condition is Condition.BREACHED for finding in evaluation.findings):
            found.append(end - CALM_S)
    return found


@pytest.mark.parametrize("shift_s", [-60, 60])
def test_a_producer_whose_clock_is_wrong_by_a_minute_is_not_silent(shift_s: int) -> None:
    assert silent_seconds(shift_s, 0) == []


def test_a_late_producer_is_silent_only_until_its_first_late_event() -> None:
    silent = silent_seconds(0, 40)
    assert silent
    assert silent[0] >= 15
    assert silent[-1] <= 40


def test_a_producer_that_sends_nothing_is_silent() -> None:
    silent = silent_seconds(0, NEVER)
    assert silent == list(range(silent[0], WRONG_S))
    assert silent[0] <= 25


def test_the_share_of_a_silent_producer_is_its_usual_one() -> None:
    rules = read_rules(RULES).rules
    assert rules is not None
    seconds = np.arange(600)
    keys = [
        pane_keys(
            START_S + np.repeat(times, number),
            np.full(len(times) * number, row),
            np.int64(COUNTER_IDS["orders_created"]),
        )
        for row, (times, number) in enumerate(((seconds[:500], 1), (seconds, 3)))
    ]
    cells = Cells(np.concatenate(keys), np.ones(sum(map(len, keys)), np.int64)).sorted()
    panes = CellPanes(START_S, START_S + 600, LABELS, cells)
    evaluation, memory = evaluate(rules, DetectionInputs(1000 * (START_S + 602), panes), EvaluationMemory())
    assert [str(finding.series) for finding in evaluation.findings] == ['silent{source="oms-1",topic="orders"}']
    (fault,) = memory.correlation.faults.values()
    assert fault.share == pytest.approx(0.25, abs=0.03)
