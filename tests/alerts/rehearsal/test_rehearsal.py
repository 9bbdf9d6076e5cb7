"""Recorded and simulated sales, evaluated as live and scored against the actual incidents."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from alerts.commands import app
from alerts.commands.rehearse import _folders_and_rules
from alerts.detection.inputs import TableQuery
from alerts.detection.panes import CellPanes
from alerts.detection.series import WHOLE_SHOP
from alerts.rehearsal.days import Rehearsed, rehearse_source
from alerts.rehearsal.incident_rates import IncidentRates
from alerts.rehearsal.pace import pace
from alerts.rehearsal.play import RehearsalResult, play
from alerts.rehearsal.rehearsal import Rehearsal, SaleTimeline
from alerts.rehearsal.report import Report, report
from alerts.rehearsal.score import PageVerdict
from alerts.rehearsal.sources import Arrival, RehearsalSource, recorded, simulated
from alerts.rules.file import read_rules
from alerts.rules.rule import Rules, RuleScope
from alerts.rules.values import MIN_DUE_ORDERS
from alerts.viewing.tables import TableReader
from consumers.errors import UsageError
from consumers.topics import Topic
from streams.model.windows import Window
from streams.panes.cells import Cells
from streams.panes.counters import COUNTER_IDS
from streams.panes.keys import pane_keys
from streams.settings import Settings
from streams.simulate import Season, SimulationConfig, write_season
from streams.view.forecasts import Forecasts
from streams.view.query import KpiQuery
from tests.support.events import ms, order, wire

RULES = """
rules:
  - name: order-silence
    title: No orders come in
    incident: orders
    keep_firing_for: 5s
    detect: {kind: silence, count: orders_created, after: 5s, least_expected: 10}
  - name: stock-out
    title: Sold out
    for_each: [sku]
    promoted: true
    when: {running: true}
    detect: {kind: threshold, value: stock_available, window: 15m, below: 1}
  - name: refused
    title: Refused
    category: data
    detect: {kind: health, check: dead_letter_rate, above: 1%}
"""
SALE = SimulationConfig.sized(
    seed=2, rate=40, duration_s=300, compress=False, incidents=("order_stop@+200s/60s", "stockout@+100s/60s:top=1")
)


def rehearsed(source: RehearsalSource) -> Report:
    rules = read_rules(RULES).rules
    assert rules is not None
    chosen = pace(0)
    return report(rules, source, rehearse_source(Settings(), rules, source, chosen), chosen)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sale")
    write_season(Season(SALE), out)
    return out


@pytest.fixture(scope="module")
def done() -> Report:
    return rehearsed(simulated(SALE))


def test_injected_incidents_page_and_resolve(done: Report) -> None:
    detected = {one.happened.kind: one for one in done.found.detected}
    assert set(detected) == {"order_stop", "stockout"}
    stop = detected["order_stop"]
    assert stop.first is not None
    assert stop.first.series.rule == "order-silence"
    assert stop.delay_s is not None
    assert 5 <= stop.delay_s <= 60
    assert stop.first.resolved_ms is not None
    assert done.found.false == []
    assert done.found.recall == 1.0


def test_a_written_folder_gives_the_same_report(done: Report, folder: Path) -> None:
    from_folder = rehearsed(recorded(folder))
    rules = {name: one.verdicts for name, one in done.found.rules.items()}
    assert {name: one.verdicts for name, one in from_folder.found.rules.items()} == rules
    assert from_folder.truth == done.truth


def test_pages_of_exceeded_limits_are_not_false(done: Report) -> None:
    assert {page.series.rule for page in done.found.of(PageVerdict.PLAIN)} <= {"stock-out"}


def test_without_known_incidents_no_page_is_false(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        if file.name != "incidents.json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    unknown = rehearsed(recorded(tmp_path))
    assert unknown.truth is None
    assert "not known" in unknown.verdict()
    assert all(row[4] == "?" for row in unknown.rows())


def test_a_year_in_long_steps_counts_all_that_came() -> None:
    """Rare events between two evaluations, hours apart, are included in the second one."""
    hours = range(0, 30 * 24, 7)
    orders = [
        Arrival(ms(hour * 3600), Topic.ORDERS, wire(order("order_created", at=hour * 3600, order_id=f"o-{hour}")))
        for hour in hours
    ]
    rules = read_rules(RULES).rules
    assert rules is not None
    rehearsal = Rehearsal(Settings(), rules, every_s=6 * 3600)
    play(rules, rehearsal.snapshots(orders), step_s=3600)
    assert sum(rehearsal.course.by_minute["orders_created"].values()) == len(hours)


def test_the_length_is_known_before(folder: Path) -> None:
    start_ms, end_ms = recorded(folder).span_ms
    assert (end_ms - start_ms) / 1000 == pytest.approx(300, abs=10)
    assert simulated(SALE).span_ms == (SALE.start_ms, SALE.end_ms)


def test_a_folder_without_a_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a folder"):
        recorded(tmp_path / "nothing")
    (tmp_path / "incidents.json").write_text("{}")
    with pytest.raises(UsageError, match="is invalid"):
        recorded(tmp_path)


def test_the_html_report_is_self_contained(done: Report) -> None:
    html = done.html()
    assert "<svg" in html
    assert "order-silence" in html
    assert "order_stop" in html
    assert "http" not in html


def test_the_command(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.yaml").write_text(RULES)
    arguments = ["rehearse", str(folder), "--rules", "rules.yaml", "--report", "page.html", "--json"]
    ran = CliRunner().invoke(app, ["alerts", *arguments])
    assert ran.exit_code == 0, ran.output
    facts = json.loads(ran.stdout)
    assert facts["recall"] == 1.0
    assert {row["rule"] for row in facts["rules"]} >= {"order-silence"}
    assert "<svg" in (tmp_path / "page.html").read_text()
    assert (facts["every_s"], facts["step_s"], facts["left_out"]) == (5, 10, [])
    assert "an evaluation every 5s (for the length of it; --every sets it)" in ran.stderr
    assert CliRunner().invoke(app, ["alerts", "rehearse", str(folder), "--incident", "x@+1s/1s"]).exit_code == 2


def test_rules_are_named_by_position_or_by_name() -> None:
    folder, rules = Path("recordings"), Path("rules.yaml")
    assert _folders_and_rules((), None) == ([], None)
    assert _folders_and_rules((rules, folder), None) == _folders_and_rules((folder,), rules) == ([folder], rules)
    assert _folders_and_rules((rules,), None) == ([], rules)
    for paths, named in (((folder, rules), rules), ((rules, rules), None)):
        with pytest.raises(UsageError):
            _folders_and_rules(paths, named)


def test_rules_left_out_for_long_steps_are_named_first(tmp_path: Path) -> None:
    days = [order("order_created", at=86_400 * day, order_id=f"o-{day}") for day in range(30)]
    (tmp_path / "orders.ndjson").write_bytes(b"\n".join(map(wire, days)) + b"\n")
    ran = CliRunner().invoke(app, ["alerts", "rehearse", str(tmp_path), "--every", "1d", "--json"])
    assert ran.exit_code == 0, ran.output
    facts = json.loads(ran.stdout)
    assert facts["step_s"] == 300
    assert facts["left_out"][0] == "payment-drop"
    assert "left out, for what they compare" in ran.stderr
    assert ran.stderr.index("payment-drop, ") < ran.stderr.index("--every 10s has all of them judged")


@pytest.mark.parametrize(("given", "every_s"), [("30", 30), ("2.5", 2.5), ("2m", 120)])
def test_the_interval_is_in_seconds_or_has_a_unit(folder: Path, given: str, every_s: float) -> None:
    ran = CliRunner().invoke(app, ["alerts", "rehearse", str(folder), "--every", given, "--json"])
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["every_s"] == every_s


@pytest.mark.parametrize("given", ["often", "-1s", "0", "100ms", ""])
def test_an_invalid_interval_is_refused(folder: Path, given: str) -> None:
    ran = CliRunner().invoke(app, ["alerts", "rehearse", str(folder), "--every", given])
    assert ran.exit_code == 2
    assert "--every" in ran.stderr


DUE = "orders_due"
ASKED = frozenset({DUE, "ship_within_48h_rate"})
SHIPPING = """
rules:
  - name: late
    title: Late
    for_each: [all, region]
    detect: {kind: threshold, value: ship_within_48h_rate, window: 24h, below: 90%, least: [orders_due, 20]}
  - name: ahead
    title: Ahead
    detect: {kind: threshold, value: expected_breach_rate, window: 24h, above: 10%, least: [orders_paid, 20]}
"""


def test_shipping_shares_use_the_orders_due() -> None:
    rules = read_rules(SHIPPING).rules
    assert rules is not None
    rates = {}
    for incidents in ((), ("ship_delay@+60s/230s",)):
        sale = SimulationConfig.sized(seed=2, rate=60, duration_s=300, compress=True, incidents=incidents)
        settings = Settings(overdue_after_h=48 / sale.ship_speed)
        rehearsal = Rehearsal(settings, rules, every_s=20, until_ms=sale.start_ms + 280_000)
        *early, last = rehearsal.snapshots(simulated(sale).messages)
        whole, regions = (last.tables[Window.H24, scope] for scope in (RuleScope.ALL, RuleScope.REGION))
        due = float(whole.column("orders_due")[0])
        assert 20 < due == regions.column("orders_due").sum()
        in_time = regions.column("ship_within_48h_rate") * regions.column("orders_due")
        assert in_time.sum() == pytest.approx(float(whole.column("ship_within_48h_rate")[0]) * due)
        rates[incidents] = float(whole.column("expected_breach_rate")[0])
        for table in (one.tables[Window.H24, RuleScope.ALL] for one in early):
            too_few = table.column("orders_paid") < MIN_DUE_ORDERS
            assert np.isnan(table.column("expected_breach_rate")) == too_few
        assert early[0].tables[Window.H24, RuleScope.ALL].column("orders_paid") < MIN_DUE_ORDERS
    calm, delayed = rates.values()
    assert 0 < 1.3 * calm < delayed < 1


def test_orders_due_are_known_for_earlier_moments() -> None:
    rules = read_rules(SHIPPING).rules
    assert rules is not None
    sale = SimulationConfig.sized(seed=2, rate=60, duration_s=300, compress=True)
    settings = Settings(overdue_after_h=48 / sale.ship_speed)
    rehearsal = Rehearsal(settings, rules, every_s=20, until_ms=sale.start_ms + 280_000)
    then, *_, last = list(rehearsal.snapshots(simulated(sale).messages))[-6:]
    assert last.seen_ms is not None
    tables, ask = (
        TableReader(Forecasts(settings), settings.overdue_after_h),
        TableQuery(Window.H24, RuleScope.REGION, ASKED),
    )
    question = KpiQuery(Window.H24, as_of_ms=then.as_of_ms)
    past = asyncio.run(tables.past(rehearsal._view, last.seen_ms, ask, question))
    assert past is not None
    before, now = (float(one.tables[Window.H24, RuleScope.REGION].column(DUE).sum()) for one in (then, last))
    assert 0 < before <= past.column(DUE).sum() < now, "of then, with what came late"
    in_time = past.column("ship_within_48h_rate") * past.column(DUE)
    assert in_time == pytest.approx(np.rint(in_time))


def test_messages_before_the_start_are_counted() -> None:
    rules = read_rules(RULES).rules
    assert rules is not None
    from_ms = SALE.start_ms + 100_000
    looked = list(Rehearsal(Settings(), rules, every_s=5, from_ms=from_ms).snapshots(simulated(SALE).messages))
    whole = list(Rehearsal(Settings(), rules, every_s=5).snapshots(simulated(SALE).messages))
    assert looked[0].seen_ms == from_ms
    key = Window.M15, RuleScope.SKU
    left, all_left = (seen[-1].tables[key].column("stock_available").tolist() for seen in (looked, whole))
    assert left == all_left


def test_an_alert_that_fires_before_the_start_is_a_page_of_the_start() -> None:
    rules = read_rules(RULES).rules
    assert rules is not None
    from_ms = SALE.start_ms + 150_000
    snapshots = Rehearsal(Settings(), rules, every_s=5).snapshots(simulated(SALE).messages)
    played = play(rules, snapshots, from_ms=from_ms)
    assert {page.series.rule for page in played.pages if page.fired_ms == from_ms} == {"stock-out"}
    assert all(page.fired_ms >= from_ms for page in played.pages)
    assert played.judged["order-silence"] == played.evaluations > 0


START_MIN = 29_379_600
START_S = START_MIN * 60


def ordered(start_s: int, end_s: int, seconds: Iterable[int]) -> CellPanes:
    """A range with an order in each of these seconds, counted from the start of the sale."""
    at = np.array(list(seconds), np.int64) + START_S
    keys = pane_keys(at, np.zeros_like(at), np.full_like(at, COUNTER_IDS["orders_created"]))
    return CellPanes(START_S + start_s, START_S + end_s, [WHOLE_SHOP], Cells(keys, np.ones(len(at), np.int64)))


def test_each_event_is_in_its_own_minute_however_long_a_stretch_is() -> None:
    course = SaleTimeline()
    course.take(ordered(0, 150, range(0, 150, 10)))
    course.take(ordered(150, 3600, [170, 3599]))
    assert dict(course.by_minute["orders_created"]) == {
        START_MIN: 6,
        START_MIN + 1: 6,
        START_MIN + 2: 4,
        START_MIN + 59: 1,
    }
    assert course.minutes == range(START_MIN, START_MIN + 60)


def test_a_point_is_the_mean_of_its_minutes() -> None:
    course = SaleTimeline()
    course.take(ordered(0, 420, [0, 61, 62, 63, 300]))
    assert course.step(most=7) == 1
    assert course.step(most=3) == 3
    assert course.points("orders_created", 3) == [
        (START_MIN + 1.5, pytest.approx(4 / 3)),
        (START_MIN + 4.5, pytest.approx(1 / 3)),
        (START_MIN + 6.5, 0),
    ]


@pytest.mark.parametrize(("minutes", "step"), [(90, 1), (5000, 3)])
def test_the_chart_describes_its_points(minutes: int, step: int) -> None:
    course = SaleTimeline()
    course.take(ordered(0, 60 * minutes, range(60, 60 * minutes, 120)))  # in every other minute
    source, done = RehearsalSource(iter(()), None, (0, 0)), Rehearsed(RehearsalResult(), course, IncidentRates(()))
    html = report(Rules(rules=()), source, done, pace(0)).html()
    *_, drawn = re.findall(r'points="([^"]*)"', html)
    assert len(drawn.split()) == -(-minutes // step)
    assert ("each point the mean of 3 minutes" in html) == (step == 3)
