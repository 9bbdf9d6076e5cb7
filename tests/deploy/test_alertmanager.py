"""Alertmanager's configuration: amtool accepts it, and each alert reaches its receiver."""

from __future__ import annotations

import pytest

from tests.deploy.files import DEPLOY, alert_rules, loaded
from tests.support.commands import require_program, run_program

CONFIG = DEPLOY / "alertmanager" / "alertmanager.yml"
RECEIVERS = {"critical": "page", "warning": "ticket", "info": "ticket", "none": "heartbeat"}


@pytest.fixture(scope="module")
def amtool() -> str:
    return require_program("amtool", package="prometheus-alertmanager")


def test_amtool_accepts_the_configuration(amtool: str) -> None:
    assert "SUCCESS" in run_program(amtool, "check-config", CONFIG)


@pytest.mark.parametrize("severity", [*RECEIVERS, None])
def test_severity_selects_the_receiver(amtool: str, severity: str | None) -> None:
    name = next((name for name, rule in alert_rules().items() if rule["labels"]["severity"] == severity), "Other")
    labels = [f"alertname={name}", *([f"severity={severity}"] if severity else [])]
    output = run_program(amtool, "config", "routes", "test", f"--config.file={CONFIG}", *labels)
    assert output.splitlines()[-1] == RECEIVERS.get(severity or "", "ticket")


def test_every_inhibited_alert_exists() -> None:
    names = {
        name
        for rule in loaded(CONFIG)["inhibit_rules"]
        for matcher in (*rule["source_matchers"], *rule["target_matchers"])
        for name in matcher.split("~")[-1].split("=")[-1].strip().strip('"').split("|")
    }
    assert names - {"Salepulse.+"} <= set(alert_rules())
