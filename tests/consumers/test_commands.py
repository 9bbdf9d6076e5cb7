"""Output, exit codes and one-line errors of the ingest commands."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from consumers.commands import app
from consumers.commands.common import parse_since
from consumers.dead_letters.letters import DeadLetter
from consumers.dead_letters.writing import DeadLetterWriter
from consumers.errors import UsageError
from consumers.times import format_utc
from consumers.unpacking.record import Truncation
from tests.support.servers import Server, tansu_broker


@pytest.fixture(scope="module")
def filled_broker() -> Iterator[Server]:
    """An embedded broker with the topics and three dead letters."""
    with tansu_broker() as server:
        assert salepulse("topics", "create", "--bootstrap", server.bootstrap).exit_code == 0
        asyncio.run(write(server.bootstrap))
        yield server


async def write(bootstrap: str, letters: Sequence[DeadLetter] = ()) -> None:
    async with DeadLetterWriter(bootstrap) as writer:
        await writer.write(
            letters
            or [
                DeadLetter(
                    "orders", 0, 17, b"o-1", b'{"ts":"x"}', "wrong_type", "`ts` is no integer", 1_700_000_000_000
                ),
                DeadLetter(
                    "clicks", 2, 5, b"u-1", b"\xff\x1b[2J", "bad_encoding", "byte 0 is not UTF-8", 1_700_000_060_000
                ),
                DeadLetter("clicks", 2, 6, None, None, "empty", "no value", 1_700_000_120_000),
            ]
        )


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No salepulse.toml, unless the test writes one."""
    monkeypatch.chdir(tmp_path)


def salepulse(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def failure(*arguments: str) -> tuple[int, str]:
    """Exit code and the one line on stderr."""
    result = salepulse(*arguments)
    (line,) = result.stderr.splitlines()
    return result.exit_code, line


def test_topics_create_reports_each_topic(embedded_broker: Server) -> None:
    created = salepulse("topics", "create", "--partitions", "2", "--bootstrap", embedded_broker.bootstrap)
    again = salepulse("topics", "create", "--partitions", "2", "--bootstrap", embedded_broker.bootstrap, "--json")
    assert created.exit_code == 0
    assert created.stdout.splitlines()[0].startswith("clicks: created: 2 partitions, 1 copy")
    assert [(t["name"], t["outcome"]) for t in json.loads(again.stdout)["topics"]][-1] == ("dead-letters", "matches")


def test_list_prints_the_newest_last_and_counts_all(filled_broker: Server) -> None:
    result = salepulse("dead-letters", "list", "--bootstrap", filled_broker.bootstrap, "--limit", "2")
    *listed, summary = result.stdout.splitlines()
    assert listed == [
        "clicks/2/5  2023-11-14T22:14:20Z  bad_encoding  byte 0 is not UTF-8",
        "clicks/2/6  2023-11-14T22:15:20Z  empty  no value",
    ]
    total, by_reason = summary.split(": ")
    assert total == "2 of 3 dead letters"
    assert sorted(by_reason.split(", ")) == ["1 bad_encoding", "1 empty", "1 wrong_type"]


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        (["--reason", "wrong_type"], ["orders/0/17"]),
        (["--topic", "clicks"], ["clicks/2/5", "clicks/2/6"]),
        (["--topic", "clicks", "--reason", "empty", "--reason", "wrong_type"], ["clicks/2/6"]),
        (["--since", "2023-11-14T22:14:20"], ["clicks/2/5", "clicks/2/6"]),
        (["--since", "1h"], []),
        (["--limit", "0"], []),
    ],
)
def test_list_as_json_has_the_selected_letters(filled_broker: Server, filters: list[str], ids: list[str]) -> None:
    result = salepulse("dead-letters", "list", "--json", "--bootstrap", filled_broker.bootstrap, *filters)
    assert [letter["id"] for letter in json.loads(result.stdout)["dead_letters"]] == ids


def test_show_is_safe_on_a_terminal_and_raw_is_exact(filled_broker: Server) -> None:
    bootstrap = ("--bootstrap", filled_broker.bootstrap)
    shown = salepulse("dead-letters", "show", "clicks/2/5", *bootstrap)
    assert "reason: bad_encoding" in shown.stdout.splitlines()
    assert shown.stdout.endswith("value:\n\\xff\\x1b[2J\n")
    assert salepulse("dead-letters", "show", "clicks/2/5", "--raw", *bootstrap).stdout_bytes == b"\xff\x1b[2J"
    facts = json.loads(salepulse("dead-letters", "show", "clicks/2/5", "--json", *bootstrap).stdout)
    assert base64.b64decode(facts["value_base64"]) == b"\xff\x1b[2J"
    assert salepulse("dead-letters", "show", "clicks/2/6", *bootstrap).stdout.endswith("value: null\n")


def test_replay_prints_counts_by_topic(filled_broker: Server) -> None:
    bootstrap = ("--bootstrap", filled_broker.bootstrap)
    result = salepulse("dead-letters", "replay", "--topic", "orders", *bootstrap)
    assert (result.exit_code, result.stdout) == (0, "sent again: 1 to orders\n")
    result = salepulse("dead-letters", "replay", "--all", "--json", *bootstrap)
    assert json.loads(result.stdout) == {"replayed": {"orders": 1, "clicks": 2}, "withheld": []}


def test_truncated_letters_are_marked_and_not_sent() -> None:
    with tansu_broker() as server:
        bootstrap = ("--bootstrap", server.bootstrap)
        assert salepulse("topics", "create", *bootstrap).exit_code == 0
        cut = DeadLetter(
            "clicks",
            0,
            5,
            b"u-1",
            b"begin",
            "too_large",
            "too large",
            1_700_000_000_000,
            truncation=Truncation(20_971_520, "ab" * 32),
        )
        lost = DeadLetter(
            "orders",
            1,
            7,
            None,
            b"\x00",
            "unreadable_batch",
            "bad",
            1_700_000_000_001,
            last_offset=19,
            headers=[("h", b"1")],
        )
        asyncio.run(write(server.bootstrap, [cut, lost]))
        first, second, _ = salepulse("dead-letters", "list", *bootstrap).stdout.splitlines()
        assert first.endswith(f"(truncated: the first 5 of 20,971,520 bytes, SHA-256 {'ab' * 32})")
        assert second.endswith("(a batch: the records at offsets 7 to 19 are lost)")
        raw = salepulse("dead-letters", "show", "clicks/0/5", "--raw", *bootstrap)
        assert raw.stdout_bytes == b"begin"
        assert "20,971,520" in raw.stderr
        shown = json.loads(salepulse("dead-letters", "show", "orders/1/7", "--json", *bootstrap).stdout)
        assert (shown["last_offset"], shown["headers"]) == (19, [{"name": "h", "value": "1"}])
        assert "header h: 1" in salepulse("dead-letters", "show", "orders/1/7", *bootstrap).stdout
        everything = salepulse("dead-letters", "replay", "--all", *bootstrap)
        assert (everything.exit_code, "nothing" in everything.stdout) == (0, True)
        assert "clicks/0/5" in everything.stderr
        code, line = failure("dead-letters", "replay", "--id", "clicks/0/5", *bootstrap)
        assert code == 1
        assert "cannot be sent: clicks/0/5" in line


def test_an_unknown_id_is_an_error(filled_broker: Server) -> None:
    bootstrap = ("--bootstrap", filled_broker.bootstrap)
    code, line = failure("dead-letters", "show", "orders/0/18", *bootstrap)
    assert (code, line) == (1, "salepulse: there is no dead letter orders/0/18: see `salepulse dead-letters list`")
    code, line = failure("dead-letters", "replay", "--id", "orders/0/18", *bootstrap)
    assert (code, line) == (1, "salepulse: 0 of 1 ids exist: see `salepulse dead-letters list`")


NO_BROKER = ("--bootstrap", "127.0.0.1:1")


@pytest.mark.parametrize(
    "command", [("topics", "create"), ("dead-letters", "list"), ("dead-letters", "replay", "--all")]
)
def test_without_a_broker_a_command_fails_in_one_line(command: tuple[str, ...]) -> None:
    code, line = failure(*command, *NO_BROKER)
    assert (code, line) == (
        1,
        "salepulse: no Kafka broker answers at 127.0.0.1:1: start it, or name another with --bootstrap",
    )


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("topics", "create", "--bootstrap", "here"), "is not a Kafka address: write host:port"),
        (("dead-letters", "replay"), "no dead letters selected: give --reason, --topic, --since or --id, or else"),
        (("dead-letters", "replay", "--all", "--topic", "orders"), "no dead letters selected"),
        (("dead-letters", "show", "17"), "write topic/partition/offset"),
        (("dead-letters", "list", "--since", "yesterday"), "write an age"),
    ],
)
def test_wrong_usage_exits_with_2_and_the_fix(command: tuple[str, ...], message: str) -> None:
    code, line = failure(*command)
    assert code == 2
    assert message in line


@pytest.mark.parametrize(
    "command", [("dead-letters", "list", "--reason", "bad"), ("topics", "create", "--partitions", "0")]
)
def test_an_invalid_flag_value_exits_with_2(command: tuple[str, ...]) -> None:
    assert salepulse(*command).exit_code == 2


def test_settings_come_from_the_environment_and_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("salepulse.toml").write_text('bootstrap = "127.0.0.1:2"\nhttp_port = 8080\n')
    assert "at 127.0.0.1:2:" in failure("topics", "create")[1]
    monkeypatch.setenv("SALEPULSE_BOOTSTRAP", "127.0.0.1:3")
    assert "at 127.0.0.1:3:" in failure("topics", "create")[1]
    assert "at 127.0.0.1:1:" in failure("topics", "create", *NO_BROKER)[1]
    monkeypatch.setenv("SALEPULSE_PARTITIONS", "none")
    code, line = failure("topics", "create")
    assert code == 2
    assert line == ("salepulse: setting partitions is 'none' (SALEPULSE_PARTITIONS): write a whole number")
    Path("salepulse.toml").write_text("no toml")
    assert failure("topics", "create")[1].startswith("salepulse: salepulse.toml is not TOML")


def test_since_accepts_ages_and_iso_8601() -> None:
    now = datetime(2024, 1, 2, tzinfo=UTC)
    assert format_utc(parse_since("1d", now)) == "2024-01-01T00:00:00Z"
    assert format_utc(parse_since("2024-01-01T01:00:00+01:00", now)) == "2024-01-01T00:00:00Z"
    with pytest.raises(UsageError):
        parse_since("1w", now)


def test_only_topics_read_by_workers_have_dead_letters() -> None:
    result = salepulse("dead-letters", "list", "--topic", "alerts")
    assert result.exit_code == 2
    assert "'alerts' is no topic that workers read: name one of clicks, orders, logistics, promotions" in result.stderr
