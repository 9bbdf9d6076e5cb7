"""`salepulse alerts check, test, list, ack, silence`."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from alerts.commands import app
from alerts.rule_states import NO_RULE_STATES, RuleCondition, next_states
from streams.store.keys import Keys
from streams.store.last_evaluation import write_awaiting_events
from tests.alerts.builders import T0, finding, status
from tests.alerts.engine import beside_servers
from tests.alerts.state.alert_play import BAD
from tests.support.receiving import CannedResponse, http_receiver


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redis_url: str) -> Path:
    """A folder without other settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SALEPULSE_REDIS_URL", redis_url)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def salepulse(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["alerts", *arguments])


@pytest.fixture
def firing(in_folder: Path, redis_url: str) -> str:
    """The fingerprint of a firing alert."""

    async def fire() -> str:
        async with beside_servers(redis_url) as process:
            done = await process.evaluate(0, BAD)
        return done.updated_alerts[0].fingerprint

    return asyncio.run(fire())


class TestCheck:
    def test_the_default_rules_are_valid(self, in_folder: Path) -> None:
        done = salepulse("check")
        assert done.exit_code == 0
        assert " rules valid: " in done.output
        assert "no receivers: nothing is sent" in done.output

    def test_rules_are_named_by_position_or_by_name_and_counted(self, in_folder: Path) -> None:
        one = "{name: a, title: b, detect: {kind: threshold, value: roas, below: 1}}"
        (in_folder / "one.yaml").write_text(f"rules: [{one}]")
        (in_folder / "r.yaml").write_text("receivers: [{name: chat, type: slack, url: 'https://hooks.slack.com/x'}]")
        for given in (("one.yaml",), ("--rules", "one.yaml")):
            done = salepulse("check", *given, "--receivers", "r.yaml")
            assert done.output.splitlines() == ["1 rule valid: a", "1 receiver valid: chat (slack)"]
        twice = salepulse("check", "one.yaml", "--rules", "one.yaml")
        assert (twice.exit_code, "two files of rules" in twice.stderr) == (2, True)

    def test_errors_have_lines_and_the_exit_code_is_2(self, in_folder: Path) -> None:
        (in_folder / "rules.yaml").write_text('version: "1"\nrules:\n  - name: Nonsense\n')
        done = salepulse("check", "rules.yaml")
        assert done.exit_code == 2
        assert "rules.yaml:3: " in done.stderr

    def test_receivers_are_checked_without_showing_secrets(self, in_folder: Path) -> None:
        (in_folder / "r.yaml").write_text("receivers: [{name: chat, type: slack, url: 'gopher://t0ps3cret'}]")
        done = salepulse("check", "--receivers", "r.yaml")
        assert done.exit_code == 2
        assert "r.yaml:1: `url`" in done.stderr
        assert "t0ps3cret" not in done.output + done.stderr


class TestTrial:
    def test_sends_to_each_receiver_and_reports_the_outcome(
        self, in_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SALEPULSE_ALERTS_RECEIVERS", str(in_folder / "r.yaml"))

        async def trying() -> tuple[Result, list[str]]:
            async with http_receiver() as good, http_receiver() as bad:
                bad.responses.append(CannedResponse(500))
                receivers = [{"name": n, "type": "slack", "url": f"{r.url}/k3y"} for n, r in (("a", good), ("b", bad))]
                (in_folder / "r.yaml").write_text(json.dumps({"receivers": receivers, "allow_networks": ["127.0.0.1"]}))
                done = await asyncio.to_thread(salepulse, "test", "--json")
                return done, [got.json["text"] for got in good.requests]

        done, texts = asyncio.run(trying())
        assert done.exit_code == 1
        (a, b) = json.loads(done.stdout)["receivers"]
        assert (a["arrived"], b["arrived"], b["fault"]) == (True, False, "server_error")
        assert [text.partition("]")[0] for text in texts] == ["[NOTE", "[RESOLVED"]
        assert "k3y" not in done.output + done.stderr

    def test_an_unknown_receiver(self, in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (in_folder / "r.yaml").write_text("receivers: [{name: chat, type: slack, url: 'https://hooks.slack.com/x'}]")
        monkeypatch.setenv("SALEPULSE_ALERTS_RECEIVERS", "r.yaml")
        done = salepulse("test", "cat")
        assert done.exit_code == 2
        assert "known: chat" in done.stderr


class TestPeople:
    def test_lists_alerts(self, firing: str) -> None:
        (one,) = json.loads(salepulse("list", "--json").stdout)["alerts"]
        assert (one["fingerprint"], one["state"]) == (firing, "firing")
        shown = salepulse("list", "--state", "firing").stdout
        assert firing in shown
        assert "Conversion dropped (channel app): 412 orders a minute, expected 780 to 860 (50 % fewer)" in shown
        assert json.loads(salepulse("list", "--state", "resolved", "--json").stdout)["alerts"] == []
        assert salepulse("list", "--state", "burning").exit_code == 2

    def test_acknowledging(self, firing: str) -> None:
        done = salepulse("ack", firing, "--by", "ada")
        assert (done.exit_code, done.stdout) == (0, f"{firing}: acknowledged by ada\n")
        assert salepulse("ack", "0" * 16).exit_code == 1

    def test_silencing(self, firing: str) -> None:
        made = json.loads(salepulse("silence", "rule=conversion-drop", "--for", "2h", "--by", "ada", "--json").stdout)
        (held,) = json.loads(salepulse("silence", "--json").stdout)["silences"]
        assert held == made
        assert salepulse("silence", "--end", made["id"]).exit_code == 0
        shown = salepulse("silence")
        assert (made["id"] in shown.stdout, "1 more have ended: --all shows them" in shown.stderr) == (False, True)
        (ended,) = json.loads(salepulse("silence", "--all", "--json").stdout)["silences"]
        assert ended["id"] == made["id"]
        assert salepulse("silence", "--end", "nothing").exit_code == 1

    @pytest.mark.parametrize(
        ("matcher", "remarks"),
        [
            ("rule=conversion-drop", ["1 alert that fires now matches it"]),
            ("rule=stock-out", ["0 alerts that fire now match it"]),
            (
                "rule=stock-ot",
                [
                    "0 alerts that fire now match it",
                    "no known rule matches rule=stock-ot: did you mean stock-out?",
                ],
            ),
        ],
    )
    def test_a_silence_reports_the_matching_alerts(self, firing: str, matcher: str, remarks: list[str]) -> None:
        assert salepulse("silence", matcher, "--for", "2h").stderr.splitlines() == remarks

    def test_a_silence_for_an_inactive_promotion_has_a_note(self, firing: str) -> None:
        remarks = {
            which: salepulse("silence", "rule=~.*", "--for", "2h", "--promotion", which).stderr.splitlines()[0]
            for which in ("d11", "*")
        }
        would = "1 alert that fires now would match it"
        assert remarks == {
            "d11": f"it is inactive now, because promotion d11 does not run: {would}",
            "*": f"it is inactive now, because no promotion runs: {would}",
        }

    def test_rules_are_listed_with_why_they_do_not_watch(self, in_folder: Path, redis_url: str) -> None:
        assert "no evaluation yet" in salepulse("list", "--rules").stderr

        async def wait_for_events() -> None:
            async with beside_servers(redis_url) as process:
                await write_awaiting_events(process.redis, Keys("salepulse", 1), round(time.time() * 1000))

        asyncio.run(wait_for_events())
        assert "waits for the first event" in salepulse("list", "--rules").stderr

        async def store() -> None:
            learning = status("refund-surge", RuleCondition.LEARNING, lacks="18 of 50 orders_refunded in the baseline")
            async with beside_servers(redis_url) as process:
                await process.redis.delete(Keys("salepulse", 1).awaiting_events)
                lead = await process.lead()
                await process.store.save_rules(lead, next_states(NO_RULE_STATES, (status(), learning), T0))

        asyncio.run(store())
        listed = salepulse("list", "--rules")
        assert "18 of 50 orders_refunded in the baseline" in listed.stdout
        assert "outdated, and no rule watches" in listed.stderr
        facts = json.loads(salepulse("list", "--rules", "--state", "learning", "--json").stdout)
        assert ([rule["rule"] for rule in facts["rules"]], facts["live"]) == (["refund-surge"], False)
        assert salepulse("list", "--rules", "--state", "firing").exit_code == 2

    def test_the_list_is_newest_first(self, in_folder: Path, redis_url: str) -> None:
        async def fire() -> None:
            async with beside_servers(redis_url) as process:
                late, early = (replace(BAD, since_ms=T0 - ago_ms) for ago_ms in (1000, 60_000))
                early = replace(early, series=finding(labels={"channel": "web"}).series)
                await process.evaluate(0, late)
                await process.evaluate(1, late, early)

        asyncio.run(fire())
        shown = json.loads(salepulse("list", "--json").stdout)["alerts"]
        assert [one["since"] for one in shown] == [T0 - 1000, T0 - 60_000]

    @pytest.mark.parametrize(
        "arguments", [["rule=x"], ["nonsense", "--for", "2h"], ["rule=x", "--for", "long"]], ids=str
    )
    def test_invalid_silences_are_refused(self, in_folder: Path, arguments: list[str]) -> None:
        done = salepulse("silence", *arguments)
        assert done.exit_code == 2
        assert "salepulse: " in done.stderr

    def test_without_redis_there_is_an_error(self, in_folder: Path) -> None:
        done = salepulse("list", "--redis-url", "redis://127.0.0.1:1/0")
        assert done.exit_code == 1
        assert "no Redis answers" in done.stderr
