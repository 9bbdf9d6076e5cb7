"""Prometheus' configuration and rules: promtool accepts them, each rule has a test, each alert a runbook."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from streams.settings import Settings
from tests.deploy.exposed import known, metrics, named
from tests.deploy.files import DEPLOY, PROMTOOL_TESTS, REPOSITORY, RULES, alert_rules, loaded, recorded, rules
from tests.support.commands import require_program, run_program

CONFIG = DEPLOY / "prometheus" / "prometheus.yml"
RUNBOOK = REPOSITORY / "docs" / "runbook.md"


@pytest.fixture(scope="module")
def promtool() -> str:
    return require_program("promtool", package="prometheus")


def test_promtool_accepts_configuration_and_rules(promtool: str, tmp_path: Path) -> None:
    folder = tmp_path / "prometheus"
    shutil.copytree(CONFIG.parent, folder)
    (folder / "secrets").mkdir()
    (folder / "secrets" / "token").write_text("sp_token")
    output = run_program(promtool, "check", "config", "--lint=all", "--lint-fatal", folder / CONFIG.name)
    assert output.count("SUCCESS") >= 1 + len(RULES)


@pytest.mark.parametrize("path", PROMTOOL_TESTS, ids=lambda path: path.stem)
def test_promtool_tests_of_rules_pass(promtool: str, path: Path) -> None:
    assert "SUCCESS" in run_program(promtool, "test", "rules", path)


class TestAlerts:
    def test_every_alert_is_tested_firing_and_not_firing(self) -> None:
        fired, calm = set[str](), set[str]()
        for path in PROMTOOL_TESTS:
            for group in loaded(path)["tests"]:
                for tried in group.get("alert_rule_test", ()):
                    (fired if tried["exp_alerts"] else calm).add(tried["alertname"])
        assert fired == set(alert_rules())
        assert set(alert_rules()) - calm == {"SalepulseWatchdog"}

    @pytest.mark.parametrize("name", sorted(alert_rules()))
    def test_every_alert_has_annotations_and_a_runbook(self, name: str) -> None:
        rule = alert_rules()[name]
        assert rule["labels"]["severity"] in {"critical", "warning", "info", "none"}
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"
        assert f"\n### {name}\n" in RUNBOOK.read_text()

    def test_the_runbook_has_no_other_alerts(self) -> None:
        assert set(re.findall(r"^### (\w+)$", RUNBOOK.read_text(), re.MULTILINE)) == set(alert_rules())


class TestRecordings:
    def test_names_are_level_metric_operations(self) -> None:
        for name in recorded():
            level, metric, operations = name.split(":")
            assert re.fullmatch(r"[a-z_]+", level), name
            assert metric == "up" or metric.startswith("salepulse_"), name
            assert not metric.endswith("_total"), name
            assert re.fullmatch(r"(sum|min|max|avg|count|rate\d+[ms]|p99_rate\d+[ms]|ratio_\w+)", operations), name

    def test_every_recording_rule_is_tested(self) -> None:
        asked = {
            name
            for path in PROMTOOL_TESTS
            for group in loaded(path)["tests"]
            for tried in group.get("promql_expr_test", ())
            for name in named(tried["expr"])
        }
        assert recorded() <= asked


def test_rules_use_existing_metrics() -> None:
    for rule in rules():
        assert named(rule["expr"]) <= known(), rule


def test_every_job_is_scraped_within_limits() -> None:
    config = loaded(CONFIG)
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    assert set(jobs) == {"salepulse", "prometheus", "alertmanager"}
    assert all("sample_limit" in job for job in jobs.values())
    ours = jobs["salepulse"]
    budget = Settings.model_fields["series_budget"].default
    assert budget + 5_000 <= ours["sample_limit"]
    assert ours["label_value_length_limit"] >= 128 * 4, "a label has up to 128 characters, of up to 4 bytes"
    limit = re.search(r"\* (\d+)$", alert_rules()["SalepulseScrapeNearLimit"]["expr"])
    assert limit is not None
    assert int(limit[1]) == ours["sample_limit"]


def test_names_in_expressions_are_found() -> None:
    expression = 'sum by (job) (rate(a_total{x="b_c"}[5m])) / on (job) group_left max(c:d:e offset 5m)'
    assert named(expression) == {"a_total", "c:d:e"}
    assert {"salepulse_ready", "salepulse_batch_seconds_bucket"} <= metrics()
