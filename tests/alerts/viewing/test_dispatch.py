"""Dispatches compared with those usual at this time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count

import numpy as np
import pytest

from alerts.detection.inputs import DetectionInputs, Table, TableQuery, empty_panes
from alerts.evaluate import evaluate
from alerts.findings import Severity
from alerts.memory import EvaluationMemory
from alerts.rules.loader import default_text, load
from alerts.rules.rule import Rules, RuleScope
from alerts.viewing.dispatch import WHOLE, DispatchReader, compare
from alerts.viewing.tables import SkuSelection, TableReader
from streams.clock import now_ms
from streams.model.windows import Window
from streams.view.forecasts import Forecasts
from tests.streams.shop import CLICKS_0, LOGISTICS_0, ORDERS_0, opened
from tests.support.events import Event, click, ms, paid, shipment

BOTH = {WHOLE: 1000, "east": 560, "west": 440}
NIGHT: dict[str, int] = {}
HOUR, DAY = 3600, 86_400


def shares(now: dict[str, int], *past: list[dict[str, int]]) -> dict[str, float | None]:
    return {
        name: None if math.isnan(level.share) else round(level.share, 2) for name, level in compare(now, past).items()
    }


def test_a_warehouse_that_stops_is_compared_with_its_usual_dispatches() -> None:
    now = {WHOLE: 560, "east": 560}
    assert shares(now, [BOTH, BOTH], [BOTH, BOTH]) == {WHOLE: 0.56, "east": None, "west": 0.0}, (
        "west is no measure of east"
    )


def test_at_night_nothing_is_usual() -> None:
    assert shares(NIGHT, [BOTH, NIGHT], [BOTH, BOTH]) == {WHOLE: None, "east": None, "west": None}


def test_a_warehouse_that_has_a_day_off_each_week_is_not_compared_with_another_weekday() -> None:
    sunday = {WHOLE: 560, "east": 560}
    levels = compare(sunday, [[sunday, BOTH], [sunday, sunday]])
    assert levels["west"].usual == 0
    assert math.isnan(levels["west"].share)


def test_on_a_holiday_of_all_no_warehouse_is_reported() -> None:
    now = {WHOLE: 10, "east": 6, "west": 4}
    levels = compare(now, [[BOTH, BOTH]])
    assert levels["west"].share > 0.6
    assert math.isnan(levels[WHOLE].usual), "one former day does not show that today is no day off"


def test_more_dispatches_elsewhere_do_not_raise_the_expectation() -> None:
    assert compare({WHOLE: 6440, "east": 6000, "west": 440}, [[BOTH, BOTH]])["west"].usual == 440


def test_one_warehouse_alone_needs_two_former_days() -> None:
    usual = {WHOLE: 100, "only": 100}
    assert math.isnan(compare({}, [[usual, usual]])["only"].usual)
    assert compare({}, [[usual, usual], [usual, usual]])["only"].missing == 100


def parcels(start: float, end: float, warehouse: str, every_s: float, numbers: Iterator[int]) -> Iterator[Event]:
    """Orders paid and dispatched at the same time, at a constant rate."""
    at = start
    while at < end:
        order_id = f"o-{next(numbers)}"
        yield paid(at=at, order_id=order_id)
        yield shipment(at=at + 1, order_id=order_id, warehouse=warehouse)
        at += every_s


@pytest.mark.anyio
async def test_the_table_has_the_dispatches_of_each_warehouse(redis_url: str) -> None:
    """West stops 45 minutes before the as-of; yesterday both worked."""
    numbers, now = count(), 30 * HOUR
    events = [
        *parcels(5 * HOUR, 8 * HOUR, "east", 60, numbers),
        *parcels(5 * HOUR, 8 * HOUR, "west", 60, numbers),
        *parcels(now - 2 * HOUR, now, "east", 60, numbers),
        *parcels(now - 2 * HOUR, now - 2700, "west", 60, numbers),
    ]
    async with opened(redis_url) as shop:
        await shop.feed(ORDERS_0, [one for one in events if one["type"] == "order_paid"])
        await shop.feed(LOGISTICS_0, [one for one in events if one["type"] != "order_paid"])
        await shop.feed(CLICKS_0, [click(at=now)])
        view = await shop.view()
        reader = TableReader(Forecasts(shop.settings), 48)
        query = TableQuery(Window.H1, RuleScope.WAREHOUSE, frozenset({"dispatched_of_usual"}))
        table = await reader.now(view, now_ms(), ms(now), query, SkuSelection())
        assert table.values == ("east", "west")
        assert table.column("usual_dispatches").tolist() == [pytest.approx(15), 60], "scaled by the other warehouse"
        assert table.column("dispatched_of_usual")[1] == pytest.approx(0.25, abs=0.02)
        assert table.column("undispatched_gmv")[1] == pytest.approx(45_000, rel=0.05)


@pytest.mark.anyio
async def test_each_window_is_compared_with_windows_of_its_length(redis_url: str) -> None:
    numbers, now = count(), 30 * HOUR
    spans = ((now - DAY - 2 * HOUR, now - DAY + HOUR), (now - 2 * HOUR, now))
    events = [one for span in spans for name in ("east", "west") for one in parcels(*span, name, 20, numbers)]
    async with opened(redis_url) as shop:
        await shop.feed(ORDERS_0, [one for one in events if one["type"] == "order_paid"])
        await shop.feed(LOGISTICS_0, [one for one in events if one["type"] != "order_paid"])
        await shop.feed(CLICKS_0, [click(at=now)])
        view, reader = await shop.view(), DispatchReader()
        for window, usual in ((Window.M15, 45), (Window.H1, 180), (Window.M15, 45)):
            level = (await reader.levels(view, window, now_ms()))["east"]
            assert (level.counted, level.usual) == (pytest.approx(usual, abs=1), pytest.approx(usual, abs=1))


def test_the_default_rule_reports_the_warehouse_with_the_money_at_stake() -> None:
    rules = load(default_text(), "default").rules
    rules = Rules(rules=tuple(rule for rule in rules.rules if rule.name == "dispatch-stopped"))
    memory, found = EvaluationMemory(), []
    for minute in range(120):
        dispatched = max(0.0, 440 * (1 - max(0, minute - 10) / 60))  # of the last hour; it stops after ten minutes
        numbers = {"dispatched_of_usual": dispatched / 440, "usual_dispatches": 440.0}
        numbers["undispatched_gmv"] = (440 - dispatched) * 10_000
        table = Table(("west",), {name: np.array([number]) for name, number in numbers.items()})
        inputs = DetectionInputs(60_000 * minute, empty_panes(60 * minute), {(Window.H1, RuleScope.WAREHOUSE): table})
        evaluation, memory = evaluate(rules, inputs, memory)
        found += [(minute, finding) for finding in evaluation.findings]
    minute, first = found[0]
    assert minute - 10 == 37
    assert first.series.labels == (("warehouse", "west"),)
    assert (first.severity, first.is_forecast) == (Severity.WARNING, True)
    assert first.money_per_minute == pytest.approx(440 * 10_000 / 60 * 37 / 60, rel=0.01)
