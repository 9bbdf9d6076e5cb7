"""What `incidents.json` states, as written by hand or by `salepulse simulate`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alerts.findings import Category
from alerts.rehearsal.truth import SaleTruth, described_truth, read_truth
from consumers.errors import UsageError
from streams.simulate import Season, SimulationConfig
from streams.simulate.folder import describe_incidents


def written(folder: Path, text: str) -> SaleTruth | None:
    (folder / "incidents.json").write_text(text)
    return read_truth(folder)


def simulated(*incidents: str) -> SaleTruth:
    config = SimulationConfig.sized(seed=2, rate=20, duration_s=600, compress=False, incidents=incidents)
    return described_truth(describe_incidents(Season(config).present.world))


def test_a_folder_says_that_it_is_calm_or_does_not_say(tmp_path: Path) -> None:
    assert read_truth(tmp_path) is None
    assert written(tmp_path, '{"incidents": []}') == SaleTruth()


def test_an_incident_may_be_written_by_hand(tmp_path: Path) -> None:
    line = {
        "kind": "gateway of a bank down",
        "start_ms": 1000,
        "end_ms": 2000,
        "dimension": {"region": "west"},
        "values": {"channel": ["app", "web"]},
        "lost_per_minute": 120_000,
    }
    truth = written(tmp_path, json.dumps({"incidents": [line]}))
    assert truth is not None
    (incident,) = truth.incidents
    assert incident.facts == {("region", "west"), ("channel", "app"), ("channel", "web")}
    assert (incident.category, incident.lost_per_minute) == (Category.BUSINESS, 120_000)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "Invalid JSON"),
        ("{}", "incidents: Field required"),
        ('{"incidents": [{"kind": "x", "start_ms": 1}]}', "incidents.0.end_ms: Field required"),
        ('{"incidents": [{"kind": "x", "start_ms": 2, "end_ms": 2}]}', "end_ms must be later than start_ms"),
        ('{"incidents": [{"kind": "x", "start_ms": 1, "end_ms": 2, "category": "money"}]}', "category"),
    ],
)
def test_an_invalid_file_is_named_with_its_problem(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(UsageError) as error:
        written(tmp_path, text)
    assert "incidents.json is invalid: " in str(error.value)
    assert problem in str(error.value)


def test_a_change_of_demand_is_no_incident() -> None:
    truth = simulated("traffic_surge@+100s/60s", "price_error@+200s/60s")
    assert [one.kind for one in truth.incidents] == ["price_error"]
    assert [one.kind for one in truth.demand] == ["traffic_surge"]


def test_a_stock_out_names_its_skus_and_their_categories() -> None:
    (incident,) = simulated("stockout@+100s/60s:top=2").incidents
    assert {value for name, value in incident.facts if name == "sku"} == {"s-00001", "s-00002"}
    assert {name for name, _ in incident.facts} == {"sku", "category"}


def test_lost_events_are_a_fault_of_data() -> None:
    silent, topic, clicks = simulated(
        "producer_silent@+100s/60s:topic=orders,source=oms-1",
        "producer_silent@+200s/60s:topic=orders",
        "click_stop@+300s/60s:channel=app",
    ).incidents
    assert (silent.category, silent.facts) == (Category.DATA, {("topic", "orders"), ("source", "oms-1")})
    assert (topic.category, topic.is_whole) == (None, True)
    assert (clicks.category, clicks.facts) == (Category.DATA, {("topic", "clicks"), ("channel", "app")})
