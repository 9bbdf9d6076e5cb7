"""`salepulse simulate`: files, Kafka, ground truth and invalid specs."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer

from consumers.topic_admin import create_topics, default_plans
from tests.support.salepulse import Running, failure, salepulse
from tests.support.servers import Server

SMALL = ("--rate", "50", "--duration", "10")


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        done = salepulse(
            "simulate",
            *SMALL,
            "--seed",
            "7",
            "--incident",
            "order_stop@+2s/2s",
            "--out",
            folder,
            "--json",
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == [
        "clicks.ndjson.gz",
        "incidents.json",
        "logistics.ndjson.gz",
        "orders.ndjson.gz",
        "promotions.ndjson",
    ]
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)
    facts, truth = json.loads(done.stdout), json.loads((tmp_path / "a" / "incidents.json").read_text())
    assert facts["truth"]["events"] == truth["truth"]["events"]
    assert [incident["kind"] for incident in truth["incidents"]] == ["order_stop"]


def test_start_takes_iso_8601_and_epoch_ms(tmp_path: Path) -> None:
    for start in ("1762862400000", "2025-11-11T20:00:00+08:00", "2025-11-11T12:00:00"):
        done = salepulse("simulate", *SMALL, "--start", start, "--out", "s", "--json", cwd=tmp_path)
        assert json.loads(done.stdout)["start_ms"] == 1_762_862_400_000
    with gzip.open(tmp_path / "s" / "clicks.ndjson.gz") as file:
        assert json.loads(file.readline())["ts"] >= 1_762_862_400_000


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ((), "no destination"),
        (("--out", "x", "--bootstrap", "a:1"), "no destination"),
        (("--out", "x", "--incident", "earthquake@+1s/1s"), "unknown kind 'earthquake'; use one of conversion_drop"),
        (("--out", "x", "--incident", "order_stop"), "expected KIND@+START/DURATION"),
        (("--out", "x", "--rate", "0"), "rate is 0"),
        (("--out", "x", "--start", "yesterday"), "--start 'yesterday'"),
        (("--bootstrap", "nowhere"), "is not a Kafka address"),
    ],
)
def test_wrong_usage_ends_with_2(tmp_path: Path, flags: tuple[str, ...], says: str) -> None:
    code, line = failure("simulate", *SMALL, *flags, cwd=tmp_path)
    assert (code, says in line) == (2, True), line


def test_a_folder_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, line = failure("simulate", *SMALL, "--out", "file", cwd=tmp_path)
    assert (code, "file cannot be written" in line) == (1, True)


def test_kafka_receives_the_reported_number_of_messages(tmp_path: Path, embedded_broker: Server) -> None:
    code, line = failure("simulate", *SMALL, "--bootstrap", embedded_broker.bootstrap, cwd=tmp_path)
    assert (code, "does not exist" in line) == (1, True)
    asyncio.run(create_topics(embedded_broker.bootstrap, default_plans(2)))
    flags = ("--bootstrap", embedded_broker.bootstrap, "--speed", "max", "--json")
    done = salepulse("simulate", *SMALL, *flags, cwd=tmp_path)
    facts = json.loads(done.stdout)
    assert facts["complete"]
    assert facts["messages"] == asyncio.run(written(embedded_broker.bootstrap))


def test_ctrl_c_exits_with_0_and_reports_the_early_stop(tmp_path: Path, embedded_broker: Server) -> None:
    asyncio.run(create_topics(embedded_broker.bootstrap, default_plans(2)))
    flags = ("--bootstrap", embedded_broker.bootstrap, "--rate", "50", "--duration", "600", "--json")
    running = Running("simulate", *flags, cwd=tmp_path)
    running.until("sending")
    assert running.stop() == 0
    facts = json.loads(running.stdout)
    assert not facts["complete"]
    assert facts["messages"] == asyncio.run(written(embedded_broker.bootstrap))


async def written(bootstrap: str) -> int:
    """Messages in all topics."""
    names, count = [plan.name for plan in default_plans(2)], 0
    async with AIOKafkaConsumer(*names, bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        while got := await consumer.getmany(timeout_ms=1500):
            count += sum(map(len, got.values()))
    return count


def test_earlier_sales_are_written_too(tmp_path: Path) -> None:
    done = salepulse("simulate", *SMALL, "--earlier", "2", "--out", "s", "--json", cwd=tmp_path)
    facts = json.loads(done.stdout)
    promotions = [json.loads(line) for line in (tmp_path / "s" / "promotions.ndjson").read_text().splitlines()]
    assert [one.get("baseline") for one in promotions] == [None, "sale-1-last-2", "sale-1-last-1"]
    files = [gzip.decompress(path.read_bytes()) for path in (tmp_path / "s").glob("*.gz")]
    assert facts["messages"] == sum(len(held.splitlines()) for held in files) + 3
    assert facts["earlier"] == 2
