"""The file of receivers, routes and quiet hours."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from alerts.notify.receivers import ReceiversFile, read_receivers
from alerts.rules import detect
from alerts.rules.rule import RuleScope
from alerts.state.policy import EscalationStep
from alerts.state.silences import ALERT_LABELS
from consumers.errors import UsageError

GOOD = """
receivers:
  - {name: chat, type: dingtalk, url: "https://oapi.dingtalk.com/robot/send?access_token=t0ps3cret", secret: env:ROBOT}
  - {name: pager, type: pagerduty, routing_key: "file:KEYFILE"}
routes:
  - match: [severity=critical]
    escalation: [{to: [pager, chat]}, {after: 10m, to: [chat]}]
  - escalation: [{to: [chat]}]
    repeat_interval: 4h
quiet_hours: [{days: [fri, sat], start: "22:30", end: "08:00", timezone: Asia/Shanghai}]
allow_networks: [10.1.0.0/16]
"""


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.setenv("ROBOT", "SECt0ps3cret")
    (tmp_path / "key").write_text("t0ps3cret-key\n")

    def reading(text: str) -> ReceiversFile:
        path = tmp_path / "receivers.yaml"
        path.write_text(text.replace("KEYFILE", str(tmp_path / "key")))
        return read_receivers(path)

    return reading


def test_the_file_is_read(read) -> None:  # type: ignore[no-untyped-def]
    file = read(GOOD)
    routing = file.routing
    assert routing.routes[0].escalation == (
        EscalationStep(after_ms=0, receivers=("pager", "chat")),
        EscalationStep(after_ms=600_000, receivers=("chat",)),
    )
    assert routing.routes[1].repeat_interval_ms == 4 * 3_600_000
    assert (routing.quiet_hours[0].days, routing.quiet_hours[0].start_minute) == ((4, 5), 22 * 60 + 30)
    assert file.receivers[0].rate_limit.messages == 20
    assert file.receivers[1].routing_key.get_secret_value() == "t0ps3cret-key"


def test_secrets_are_never_shown(read) -> None:  # type: ignore[no-untyped-def]
    file = read(GOOD)
    assert "t0ps3cret" not in repr(file) + str(file) + file.model_dump_json()


@pytest.mark.parametrize(
    "matcher",
    ["severity=~crit.*", "severity!=info", "alert_category!~bus.*", "channel=", "rule=~.*", "partition=0", "worker!=a"],
)
def test_valid_matchers_are_accepted(read, matcher: str) -> None:  # type: ignore[no-untyped-def]
    assert [str(one) for one in read(GOOD.replace("severity=critical", f"'{matcher}'")).routes[0].match] == [matcher]


def test_every_label_of_rules_is_known() -> None:
    assert {each.value for each in RuleScope} - {"all"} <= set(ALERT_LABELS)
    assert {one for text in re.findall(r"Labels: (.*?)\.", inspect.getsource(detect)) for one in text.split(", ")} <= (
        set(ALERT_LABELS)
    )


def test_without_routes_all_receivers_are_notified(read) -> None:  # type: ignore[no-untyped-def]
    routing = read(GOOD.partition("routes:")[0]).routing
    assert list(routing.receivers) == ["chat", "pager"]


def test_without_a_file_there_are_no_routes() -> None:
    assert read_receivers(None).routing.routes == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("type: pagerduty, ", ""), ":4: `type` is missing: add it"),
        (("routing_key", "routingkey"), ":4: `routing_key` is missing: add it"),
        (("env:ROBOT", "env:NOWHERE"), "the environment variable NOWHERE is not set"),
        (("env:ROBOT", "env:ROB-OT"), "`env:` is not followed by a variable name: write env:NAME"),
        (("https://oapi", "ftp://oapi"), "this is no URL: write https://host/path"),
        (("[pager, chat]", "[pgaer]"), "'pgaer', which is not defined"),
        (("name: pager", "name: chat"), ":4: receiver 'chat' is defined twice, first in line 3"),
        (("after: 10m", "after: 10"), "`after`: '10' is no duration: write a number with its unit"),
        (("severity=critical", "critical"), "'critical' is no matcher"),
        (("severity=critical", "severty=critical"), "no alert has a label 'severty'; do you mean 'severity'?"),
        (("severity=critical", "Severity=critical"), "no alert has a label 'Severity'"),
        (("severity=critical", "severity=critcal"), "severity is never 'critcal'; do you mean 'critical'?"),
        (("severity=critical", "severity=Critical"), "Known: critical, warning, info"),
        (("severity=critical", '"severity!=none"'), "severity is never 'none'; known: critical, warning, info"),
        (("severity=critical", "severity=~page.*"), "severity is never 'page.*'"),
        (("severity=critical", "severity=~crit"), "severity is never 'crit'; do you mean 'critical'?"),
        (("severity=critical", "severity~crit*"), "is no matcher: write label=value, label!=value, label=~regex"),
        (("severity=critical", "'rule=~(drop'"), "'(drop' is no regular expression: missing )"),
        (
            ("severity=critical", "alert_category=dat"),
            "alert_category is never 'dat'; do you mean 'data'? Known: business, data",
        ),
        (("severity=critical", "alert_category="), "alert_category is never ''"),
        (('"22:30"', '"25:30"'), "`start`: write a time such as 23:30"),
        (("Asia/Shanghai", "Asia/Nowhere"), "is no time zone"),
        (("10.1.0.0/16", "10.1.0.0/99"), "does not appear to be an IPv4 or IPv6 network"),
        (("routes:", "routes: ["), "not YAML"),
    ],
)
def test_errors_have_lines_and_no_secrets(  # type: ignore[no-untyped-def]
    read, change: tuple[str, str], message: str
) -> None:
    assert change[0] in GOOD
    with pytest.raises(UsageError) as wrong:
        read(GOOD.replace(*change))
    assert message in str(wrong.value)
    assert "t0ps3cret" not in str(wrong.value)
