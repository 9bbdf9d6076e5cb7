"""Several recorded days, and their one table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from alerts.commands import app
from alerts.findings import Labels
from alerts.rehearsal.bounds import poisson_interval
from alerts.rehearsal.days import RehearsedDay, find_days
from alerts.rehearsal.incident_rates import BoundFormula, DelayBound
from alerts.rehearsal.play import Page
from alerts.rehearsal.summary import DaysSummary
from alerts.rehearsal.truth import ActualIncident
from consumers.errors import UsageError
from streams.simulate import Season, SimulationConfig, write_season
from tests.alerts.rehearsal.test_rehearsal import RULES
from tests.alerts.rehearsal.test_score import APP, MIN_MS, ORDERS, page, scored

STOP = "order_stop@+200s/60s"


def recorded_day(folder: Path, seed: int, *incidents: str) -> Path:
    config = SimulationConfig.sized(seed=seed, rate=40, duration_s=300, compress=False, incidents=incidents)
    write_season(Season(config), folder)
    return folder


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("days")
    recorded_day(folder / "2025-11-10", 3)
    recorded_day(folder / "2025-11-11", 2, STOP, "price_error@+100s/60s")
    (folder / "notes.txt").write_text("not a day")
    return folder


def salepulse(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["alerts", "rehearse", *arguments])


def test_a_folder_of_days_gives_one_table(days: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.yaml").write_text(RULES)
    ran = salepulse(str(days), "rules.yaml", "--json")
    assert ran.exit_code == 0, ran.output
    facts = json.loads(ran.stdout)
    kinds = {kind["kind"]: kind for kind in facts["kinds"]}
    assert {name: (kind["incidents"], kind["paged"]) for name, kind in kinds.items()} == {
        "order_stop": (1, 1),
        "price_error": (1, 0),
        "all": (2, 1),
    }
    stop = kinds["order_stop"]
    assert (stop["bound"], stop["recall"], stop["named"], stop["money_compared"]) == (["Bernoulli"], 1.0, 1, 0)
    assert 0 < stop["median_bound_s"] < 60
    assert stop["median_times_bound"] == pytest.approx(stop["median_delay_s"] / stop["median_bound_s"])
    assert {one["incident"] for one in facts["incidents"]} == {"order_stop", "price_error"}
    assert [day["day"] for day in facts["days"]] == ["2025-11-10", "2025-11-11"]
    assert facts["false_pages"] == 0
    low, high = facts["false_pages_per_day_interval"]
    assert (low, high) == pytest.approx((0, 3.689 / facts["length_days"]), rel=1e-3)
    table = salepulse(str(days / "2025-11-10"), str(days / "2025-11-11"), "rules.yaml")
    assert "order_stop" in table.stdout
    assert "1 of 2 incidents paged" in table.stderr


def test_a_folder_without_days_says_how_they_lie(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"no recorded day: expected a folder for each day, such as DAYS/2025-11-11"):
        find_days([tmp_path])
    with pytest.raises(UsageError, match="not a folder"):
        find_days([tmp_path / "nothing"])


def test_a_day_is_calm_only_if_it_says_so(days: Path, tmp_path: Path) -> None:
    day = tmp_path / "2025-11-12"
    day.mkdir()
    (day / "orders.ndjson").write_text("{}\n")
    with pytest.raises(UsageError, match=r'2025-11-12 has no incidents.json.*write {"incidents": \[\]} there'):
        find_days([days, tmp_path])
    (day / "incidents.json").write_text('{"incidents": []}')
    assert [found.name for found in find_days([days, tmp_path])] == ["2025-11-10", "2025-11-11", "2025-11-12"]


def test_options_of_one_sale_are_refused(days: Path) -> None:
    for option in (("--report", "page.html"), ("--until", "2025-11-11T00:00:00Z"), ("--incident", STOP)):
        refused = salepulse(str(days), *option)
        assert refused.exit_code == 2
        assert option[0] in refused.stderr


def summary(*pages: Page, lost_per_minute: float | None = None) -> DaysSummary:
    """A day of an hour with an incident in the app, and a calm one."""
    in_app = ActualIncident("drop", ORDERS.start_ms, ORDERS.end_ms, frozenset(APP), lost_per_minute=lost_per_minute)
    bad, calm = scored(list(pages), in_app), scored([page(30)])
    bad.detected[0].bound = DelayBound(20, BoundFormula.POISSON)
    return DaysSummary([RehearsedDay("bad", bad), RehearsedDay("calm", calm)])


def at(minute: float, labels: Labels = APP, money: int | None = None) -> Page:
    return page(minute, labels, money=money)


def test_false_pages_a_day_have_their_exact_interval() -> None:
    rate, low, high = summary().false_per_day
    length = 2 * (60 * MIN_MS - 1) / 86_400_000
    assert (rate, (low, high)) == (pytest.approx(1 / length), pytest.approx(poisson_interval(1, length)))


def test_a_missed_incident_is_infinitely_late() -> None:
    kind, _ = summary().kinds()
    assert kind.row() == ("drop", "0 of 1", "never", "20 s Poisson", "never", "–", "–", "–")
    assert (kind.to_json()["median_delay_s"], kind.to_json()["recall"]) == (None, 0.0)


def test_missed_incidents_are_listed_with_the_reason() -> None:
    assert [row[1:2] + row[3:] for row in summary().missed()] == [("drop channel=app", "no page")]
    assert [row[3] for row in summary(at(21)).missed()] == ["1 page after its end"]
    assert summary(at(11)).missed() == []


def test_every_incident_is_in_the_json() -> None:
    (fact,) = summary(at(11, money=900), lost_per_minute=1000.0).to_json()["incidents"]
    assert (fact["day"], fact["incident"], fact["delay_s"], fact["bound_s"]) == ("bad", "drop channel=app", 60, 20)
    assert (fact["money_per_minute"], fact["lost_per_minute"], fact["named"]) == (900, 1000.0, True)


def test_a_kind_has_its_delay_pages_names_and_money() -> None:
    kind, total = summary(at(11, money=900), at(15, labels=()), lost_per_minute=1000.0).kinds()
    assert kind.row() == ("drop", "1 of 1", "60 s", "20 s Poisson", "3.0", "2.00", "1 of 1", "1 of 1")
    assert total.row() == ("all", *kind.row()[1:])


def test_pages_that_are_not_right_are_listed_with_their_day() -> None:
    listed = summary(at(11, money=9000), at(21), lost_per_minute=1000.0).wrong_pages()
    assert [(day, verdict) for day, _, verdict, *_ in listed] == [
        ("bad", "wrong money"),
        ("bad", "late"),
        ("calm", "false"),
    ]
    assert listed[0][4].endswith("; stated CNY 90 a minute, lost CNY 10")
