"""`salepulse incomplete`: list and clear incomplete partitions."""

from __future__ import annotations

import json

import pytest
from redis import Redis
from typer.testing import CliRunner, Result

from streams.commands.root import create_app
from streams.store.keys import Keys
from tests.support.events import ms

STATE = Keys("salepulse", 1).state(0)
LOST = {"incomplete:orders/0": ms(5), "incomplete:clicks/1": 0, "incomplete:promotions/0": ms(9)}


@pytest.fixture
def redis(redis_url: str) -> Redis:
    client = Redis.from_url(redis_url, decode_responses=True)
    client.hset(STATE, mapping=LOST)
    return client


def salepulse(redis_url: str, *arguments: str) -> Result:
    return CliRunner().invoke(create_app(), ["incomplete", *arguments, "--redis-url", redis_url])


def test_list(redis: Redis, redis_url: str) -> None:
    rows = salepulse(redis_url, "list").stdout.splitlines()[1:]
    assert [row.split(maxsplit=1) for row in map(str.strip, rows)] == [
        ["clicks/1", "an unknown time"],
        ["orders/0", "2023-11-11T00:00:05Z"],
        ["promotions/0", "2023-11-11T00:00:09Z"],
    ]
    listed = json.loads(salepulse(redis_url, "list", "--json").stdout)
    assert (listed["incomplete_since"], listed["partitions"]["orders/0"]) == (1, ms(5))


def test_partitions_of_events_are_cleared_after_confirmation(redis: Redis, redis_url: str) -> None:
    refused = salepulse(redis_url, "clear")
    assert (refused.exit_code, "confirm with --yes" in refused.stderr) == (2, True)
    assert len(redis.hkeys(STATE)) == 3
    assert json.loads(salepulse(redis_url, "clear", "orders/0", "--yes", "--json").stdout) == {
        "cleared": {"orders/0": ms(5)}
    }
    assert set(redis.hkeys(STATE)) == {"incomplete:clicks/1", "incomplete:promotions/0"}
    assert "marked as complete: clicks/1" in salepulse(redis_url, "clear", "--yes").stdout
    assert redis.hkeys(STATE) == ["incomplete:promotions/0"]
    assert "no partition was incomplete" in salepulse(redis_url, "clear").stdout


@pytest.mark.parametrize(
    ("name", "message"),
    [("orders", "write it as orders/0"), ("orders/7", "not incomplete"), ("promotions/0", "promotions confirm")],
)
def test_a_partition_that_cannot_be_cleared_is_an_error(redis: Redis, redis_url: str, name: str, message: str) -> None:
    refused = salepulse(redis_url, "clear", name, "--yes")
    assert (refused.exit_code, message in refused.stderr) == (2, True)
    assert len(redis.hkeys(STATE)) == 3
