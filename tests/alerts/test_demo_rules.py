"""The demo's notifications: its rules, its incident, and its chat."""

from __future__ import annotations

import ipaddress
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from alerts.notify.http import Http
from alerts.notify.receivers import build_receivers, read_receivers
from alerts.notify.sample_messages import sample_messages
from alerts.rehearsal.play import play
from alerts.rehearsal.rehearsal import Rehearsal
from alerts.rehearsal.sources import season_messages
from alerts.rules.file import read_rules
from alerts.settings import shop_info
from streams.local.demo.on_call import RULES, on_call, readable_lines
from streams.local.demo.sale import CHANNEL, INCIDENT
from streams.local.stack.plan import StackPlan
from streams.settings import Settings
from streams.simulate import Season, SimulationConfig
from tests.alerts.notify.notices import message as firing

REDIS_URL = "redis://127.0.0.1:7001/0"
START_MS = 1_762_776_000_000
TEXT = files("streams.local.demo").joinpath(RULES).read_text(encoding="utf-8")


def test_the_incident_is_one_page_soon_and_its_resolve_before_the_end() -> None:
    rules = read_rules(TEXT).rules
    assert rules is not None
    config = SimulationConfig.sized(seed=1, rate=300, duration_s=120, start_ms=START_MS, incidents=(INCIDENT,))
    season = Season(config, earlier=1)
    (incident,) = season.present.world.effects.incidents
    rehearsal = Rehearsal(Settings(idle_after_s=3), rules, every_s=2)
    (page,) = play(rules, rehearsal.snapshots(season_messages(season))).pages
    assert page.series.labels == (("channel", CHANNEL),)
    assert incident.start_ms < page.fired_ms < incident.start_ms + 15_000
    assert page.resolved_ms is not None
    assert incident.end_ms < page.resolved_ms < config.end_ms
    assert page.finding.money_per_minute
    assert page.finding.expected == pytest.approx(0.8, abs=0.12)


@pytest.mark.anyio
async def test_notifications_are_shown_as_text(tmp_path: Path) -> None:
    shown: list[str] = []
    production = Settings(
        alerts_receivers="/etc/pager.yaml",
        alerts_heartbeat_url="https://example.com/x",  # type: ignore[arg-type]
        redis_url=REDIS_URL,  # type: ignore[arg-type]
    )
    plan = StackPlan(settings=production, folder=tmp_path, kafka_port=None, redis_port=None, workers=1)
    async with on_call(plan, shown.append) as watched:
        settings = watched.settings
        assert settings.alerts_heartbeat_url.get_secret_value() == "", "a demo sends no heartbeat"
        assert read_rules(Path(settings.alerts_rules).read_text()).rules is not None
        file = read_receivers(Path(settings.alerts_receivers))
        async with Http((ipaddress.ip_network("127.0.0.1/32"),)) as http:
            (receiver,) = build_receivers(file, http).values()
            for message in (firing(), *sample_messages("on-call", shop_info(settings), START_MS)):
                await receiver.notifier.send(message)
    assert all(line.startswith("on-call page │ ") for line in shown)
    assert any("FIRING" in line for line in shown)
    assert any("NOTE" in line for line in shown)
    assert any("RESOLVED" in line for line in shown)
    (acknowledge,) = (line for line in shown if " alerts ack " in line)
    assert acknowledge.endswith(f" --redis-url {REDIS_URL}"), "as the demo's Redis is on a port of its own"


def test_its_command_can_be_pasted_into_the_shell_that_started_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin_folder = tmp_path / ".venv" / "bin"
    bin_folder.mkdir(parents=True)
    script = bin_folder / "salepulse"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    message = {"text": "Acknowledge: salepulse alerts ack 3f0c"}

    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [".venv/bin/salepulse", "demo"])
    assert readable_lines(message, "redis://x") == [
        "on-call page │ Acknowledge: .venv/bin/salepulse alerts ack 3f0c --redis-url redis://x"
    ]
    monkeypatch.setenv("PATH", str(bin_folder))
    assert "Acknowledge: salepulse alerts ack" in readable_lines(message, "redis://x")[0]
    monkeypatch.setattr(sys, "argv", ["/usr/lib/streams/cli.py", "demo"])
    assert f"Acknowledge: {sys.executable} -m streams.cli alerts ack" in readable_lines(message, "redis://x")[0]


def test_the_delay_after_the_incident_is_explained() -> None:
    assert readable_lines({"text": "Lasted: 1 min 19 s, until noon"}, REDIS_URL)[0].endswith(
        "Lasted: 1 min 19 s, until noon (the incident, plus the 1m window of the rule)"
    )


def test_chat_markup_is_removed() -> None:
    text = "*[FIRING]* a &lt; b\n\n<http://x/runbook|Runbook>"
    lines = readable_lines({"blocks": [{"text": {"text": text}}]}, REDIS_URL)
    assert lines == ["on-call page │ [FIRING] a < b", "on-call page │ Runbook: http://x/runbook"]
    assert readable_lines({"text": "short"}, REDIS_URL) == ["on-call page │ short"]
