"""`salepulse promotions`: output, messages on the topic, errors."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from redis import Redis
from typer.testing import CliRunner, Result

from consumers.kafka.producer import OutgoingMessage, send_all
from consumers.promotions.topic import PromotionTopicState, read_promotion_topic
from consumers.topic_admin import create_topics, default_plans
from consumers.topics import Topic
from streams.commands.root import create_app
from streams.store.keys import Keys
from tests.support.servers import Server

SALE = """\
promotion_id: d11
name: Double Eleven
timezone: Asia/Shanghai
starts_at: 2026-11-10 20:00
ends_at: 2026-11-12 00:00
phases:
  - {name: opening, starts_at: 2026-11-10 20:00, ends_at: 2026-11-11 02:00}
targets: {base: 100, sprint: 200, challenge: 300}
skus: [s-1, s-2]
"""
LATER = SALE.replace("d11", "d12").replace("2026", "2027")
DURING = "2026-11-10T21:00:00+08:00"


@pytest.fixture
def bootstrap(embedded_broker: Server) -> str:
    asyncio.run(create_topics(embedded_broker.bootstrap, default_plans(1)))
    return embedded_broker.bootstrap


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sale.yaml").write_text(SALE)


def salepulse(*arguments: str) -> Result:
    return CliRunner().invoke(create_app(), ["promotions", *arguments])


def done(*arguments: str) -> str:
    result = salepulse(*arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def failure(*arguments: str) -> tuple[int, list[str]]:
    """Exit code and lines on stderr."""
    result = salepulse(*arguments)
    assert result.stdout == ""
    return result.exit_code, result.stderr.splitlines()


def in_force(bootstrap: str) -> PromotionTopicState:
    return asyncio.run(read_promotion_topic(bootstrap))


def test_apply_reports_added_changed_unchanged_and_deleted_promotions(bootstrap: str) -> None:
    where = ("--bootstrap", bootstrap)
    assert done("apply", "sale.yaml", *where) == "d11: added: 2026-11-10 20:00 to 2026-11-12 00:00 Asia/Shanghai\n"
    assert done("apply", "sale.yaml", *where) == "d11: unchanged\n"
    Path("sale.yaml").write_text(SALE.replace("11-12 00:00", "11-12 02:00").replace("200", "250").replace("s-2", "s-3"))
    changed = "ends_at 2026-11-12 00:00 → 2026-11-12 02:00, targets.sprint 200 → 250, skus 2 → 2 (+s-3, −s-2)"
    assert done("apply", "sale.yaml", *where, "--dry-run") == f"d11: changed: {changed}\n"
    assert done("apply", "sale.yaml", *where) == f"d11: changed: {changed}\n"
    assert in_force(bootstrap).promotions["d11"].skus == ("s-1", "s-3")
    assert done("apply", "--delete", "d11", "--delete", "never", *where) == "d11: deleted\nnever: not found\n"
    assert in_force(bootstrap) == PromotionTopicState()


def test_promotions_that_the_file_does_not_name_are_unchanged(bootstrap: str) -> None:
    Path("other.yaml").write_text(LATER + "baseline: d11\n")
    done("apply", "sale.yaml", "--bootstrap", bootstrap)
    facts = json.loads(done("apply", "other.yaml", "--bootstrap", bootstrap, "--json"))
    assert facts == {"promotions": [{"promotion_id": "d12", "outcome": "added", "changes": []}], "dry_run": False}
    assert set(in_force(bootstrap).promotions) == {"d11", "d12"}


def test_json_lists_changes_by_field(bootstrap: str) -> None:
    done("apply", "sale.yaml", "--bootstrap", bootstrap)
    Path("sale.yaml").write_text(SALE.replace("[s-1, s-2]", "[s-1]").replace("name: D", "name: The D"))
    (report,) = json.loads(done("apply", "sale.yaml", "--bootstrap", bootstrap, "--json"))["promotions"]
    assert report["changes"] == [
        {"field": "name", "before": "Double Eleven", "after": "The Double Eleven"},
        {"field": "skus", "before": 2, "after": 1, "note": "−s-2"},
    ]


def test_list_shows_the_current_phase(bootstrap: str) -> None:
    done("apply", "sale.yaml", "--bootstrap", bootstrap)
    header, row = done("list", "--bootstrap", bootstrap, "--as-of", DURING).splitlines()
    assert header.split()[:3] == ["promotion", "name", "now"]
    assert "opening (4 %)" in row
    assert "100 / 200 / 300" in row
    (listed,) = json.loads(done("list", "--bootstrap", bootstrap, "--as-of", DURING, "--json"))["promotions"]
    assert (listed["state"], listed["phase"], listed["next_phase"]) == ("running", "opening", None)
    assert listed["elapsed_fraction"] == pytest.approx(1 / 28, abs=1e-6)
    assert listed["targets"] == {"base": 100, "sprint": 200, "challenge": 300}


def test_list_shows_promotions_of_topic_and_redis_with_their_source(bootstrap: str, redis_url: str) -> None:
    done("apply", "sale.yaml", "--bootstrap", bootstrap)
    lost, keys = in_force(bootstrap).promotions["d11"].model_copy(update={"promotion_id": "d10"}), Keys("salepulse", 1)
    with Redis.from_url(redis_url) as redis:
        redis.hset(keys.promotions, "d10", lost.model_dump_json())
        where = ("--bootstrap", bootstrap, "--redis-url", redis_url)
        listed = json.loads(done("list", *where, "--json"))["promotions"]
        assert {one["promotion_id"]: one["source"] for one in listed} == {"d10": "shop", "d11": "topic"}
        notes = salepulse("list", *where).stderr
        assert "d10: in force but not on the topic, for example after the broker lost it: apply its file again" in notes
        assert "d11: on the topic but not in force: no worker has read it yet" in notes
        redis.hset(keys.promotions, "d11", in_force(bootstrap).promotions["d11"].model_dump_json())
        assert "topic and shop" in done("list", *where)


def test_confirm_fails_while_topic_and_redis_differ(bootstrap: str, redis_url: str) -> None:
    done("apply", "sale.yaml", "--bootstrap", bootstrap)
    (d11,), keys = in_force(bootstrap).promotions.values(), Keys("salepulse", 1)
    where = ("--bootstrap", bootstrap, "--redis-url", redis_url)
    with Redis.from_url(redis_url) as redis:
        redis.hset(keys.state(0), mapping={"incomplete:promotions/0": "1", "incomplete:orders/0": "1"})
        older = d11.model_copy(update={"name": "another"})
        for held in ({}, {"d11": older}, {"d11": d11, "d10": older}):
            redis.delete(keys.promotions)
            for name, one in held.items():
                redis.hset(keys.promotions, name, one.model_dump_json())
            code, (line,) = failure("confirm", *where)
            assert (code, "topic and Redis differ in d1" in line) == (1, True)
            assert redis.hexists(keys.state(0), "incomplete:promotions/0")
        redis.hdel(keys.promotions, "d10")
        assert json.loads(done("confirm", *where, "--json")) == {"promotions": ["d11"], "confirmed": ["promotions/0"]}
        assert redis.hkeys(keys.state(0)) == [b"incomplete:orders/0"], "lost events are not confirmed"
        assert done("confirm", *where) == "1 promotion in force: no changes were marked as lost\n"


def test_list_notes_that_redis_does_not_answer(bootstrap: str) -> None:
    done("apply", "sale.yaml", "--bootstrap", bootstrap)
    result = salepulse("list", "--bootstrap", bootstrap, "--redis-url", "redis://127.0.0.1:1/0")
    assert "d11" in result.stdout
    assert "Redis failed: no Redis answers at 127.0.0.1:1" in result.stderr


def test_list_notes_rejected_messages(bootstrap: str) -> None:
    asyncio.run(send_all(bootstrap, [OutgoingMessage(Topic.PROMOTIONS, b"x", b"{}")]))
    result = salepulse("list", "--bootstrap", bootstrap)
    assert result.exit_code == 0
    assert "1 messages on the topic break the contract" in result.stderr


def test_a_file_with_errors_writes_nothing_and_names_every_line(bootstrap: str) -> None:
    Path("bad.yaml").write_text(SALE.replace("2026-11-12 00:00", "later").replace("sprint", "sprit"))
    code, lines = failure("apply", "bad.yaml", "--bootstrap", bootstrap)
    assert code == 2
    assert [line.split(": ")[0] for line in lines[:-1]] == ["bad.yaml:5", "bad.yaml:8", "bad.yaml:8"]
    assert lines[-1] == "salepulse: bad.yaml has 3 errors, nothing was written: correct the file and apply it again"
    assert in_force(bootstrap) == PromotionTopicState()


def test_a_baseline_must_begin_earlier_and_a_missing_one_is_noted(bootstrap: str) -> None:
    Path("other.yaml").write_text(SALE.replace("d11", "d12") + "baseline: d11\n")
    result = salepulse("apply", "other.yaml", "--bootstrap", bootstrap)
    assert (result.exit_code, "baseline 'd11' of 'd12' is not among" in result.stderr) == (0, True)
    done("apply", "sale.yaml", "--bootstrap", bootstrap)
    code, lines = failure("apply", "other.yaml", "--bootstrap", bootstrap)
    assert (code, "does not begin earlier" in lines[-1]) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("apply",), 2, "no promotions given"),
        (("apply", "none.yaml"), 2, "none.yaml cannot be read: No such file"),
        (("apply", "."), 2, "cannot be read"),
        (("apply", "latin.yaml"), 2, "is not UTF-8"),
        (("apply", "sale.yaml", "--delete", "d11"), 2, "remove it from one of them"),
        (("apply", "sale.yaml", "--bootstrap", "here"), 2, "is not a Kafka address"),
        (("list", "--as-of", "soon"), 2, "--as-of 'soon'"),
        (("apply", "sale.yaml", "--bootstrap", "127.0.0.1:1"), 1, "no Kafka broker answers"),
        (("list", "--bootstrap", "127.0.0.1:1"), 1, "no Kafka broker answers"),
    ],
)
def test_failures_are_one_line_and_an_exit_code(arguments: tuple[str, ...], code: int, says: str) -> None:
    Path("latin.yaml").write_bytes(b"name: \xe9")
    found, lines = failure(*arguments)
    assert (found, says in lines[-1]) == (code, True), lines
    assert len(lines) == 1


def test_the_error_of_a_missing_topic_names_the_command_that_creates_it(embedded_broker: Server) -> None:
    code, lines = failure("list", "--bootstrap", embedded_broker.bootstrap)
    assert (code, "run `salepulse topics create`" in lines[-1]) == (1, True)
