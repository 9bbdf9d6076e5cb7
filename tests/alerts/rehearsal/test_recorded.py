"""A recorded or simulated sale at full speed: counted and seen as live, and judged by what really happened."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from alerts.commands import app
from alerts.rehearsal.play import play
from alerts.rehearsal.recorded import Rehearsal
from alerts.rehearsal.report import Report, report
from alerts.rehearsal.sources import Source, recorded, simulated
from alerts.rules.file import read_rules
from consumers.errors import UsageError
from streams.settings import Settings
from streams.simulate import SimulationConfig, write_folder

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
    owner: data
    detect: {kind: fact, fact: dead_letter_rate, above: 1%}
"""
SALE = SimulationConfig.sized(
    seed=2, rate=40, duration_s=300, compress=False, incidents=("order_stop@+200s/60s", "stockout@+100s/60s:top=1")
)


def rehearsed(source: Source) -> Report:
    rules = read_rules(RULES).rules
    assert rules is not None
    rehearsal = Rehearsal(Settings(), rules, every_s=5)
    return report(rules, play(rules, rehearsal.snapshots(source.messages)), source.happened, rehearsal.course)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sale")
    write_folder(SALE, out)
    return out


@pytest.fixture(scope="module")
def done() -> Report:
    return rehearsed(simulated(SALE))


def test_what_was_injected_is_told_of_and_resolved(done: Report) -> None:
    told = {one.happened.kind: one for one in done.found.told}
    assert set(told) == {"order_stop", "stockout"}
    stop = told["order_stop"]
    assert stop.first is not None
    assert stop.first.series.rule == "order-silence"
    assert stop.delay_s is not None
    assert 5 <= stop.delay_s <= 60
    assert stop.first.resolved_ms is not None
    assert done.found.false == []
    assert done.found.recall == 1.0


def test_a_folder_that_was_written_says_the_same(done: Report, folder: Path) -> None:
    from_folder = rehearsed(recorded(folder))
    rules = {name: (one.right, one.false) for name, one in done.found.rules.items()}
    assert {name: (one.right, one.false) for name, one in from_folder.found.rules.items()} == rules


def test_pages_of_limits_that_were_passed_are_not_false(done: Report) -> None:
    assert {page.series.rule for page in done.found.plain} <= {"stock-out"}


def test_without_the_truth_nothing_is_called_false(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        if file.name != "incidents.json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    unknown = rehearsed(recorded(tmp_path))
    assert unknown.happened is None
    assert "not known" in unknown.verdict()
    assert all(row[3] == "?" for row in unknown.rows())


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder"):
        recorded(tmp_path / "nothing")
    (tmp_path / "incidents.json").write_text("{}")
    with pytest.raises(UsageError, match="does not say what went wrong"):
        recorded(tmp_path)


def test_the_page_holds_it_all_and_needs_nothing_else(done: Report) -> None:
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
    assert CliRunner().invoke(app, ["alerts", "rehearse", str(folder), "--incident", "x@+1s/1s"]).exit_code == 2
