"""A Redis that crashes, is wiped, loses writes or is unavailable: nothing counts twice or is lost."""

from __future__ import annotations

import os
import shutil
import time
from random import Random

import pytest
import redis

from tests.chaos.conftest import Opening, Recording
from tests.support.servers import Server
from tests.support.stack import Shop

pytestmark = pytest.mark.slow

AWAY_S = float(os.environ.get("SALEPULSE_AWAY_S", "20"))
"""Length of the outage; `make bench` uses 120."""
MEMORY_MB = 400
"""Memory limit of a worker, with or without Redis."""


def test_killing_redis_keeps_counts_exact(
    embedded_broker: Server, own_redis: Server, open_shop: Opening, recording: Recording, rng: Random
) -> None:
    with open_shop(embedded_broker, own_redis) as shop:
        with shop.replaying(recording.folder, speed=recording.over(seconds=12)):
            shop.until_records_counted(0.02 * recording.events)
            for _ in range(3):
                time.sleep(rng.uniform(0.5, 2))
                own_redis.kill()
                time.sleep(rng.uniform(0, 2))
                own_redis.restart()
        recording.check(shop)


def test_a_wiped_redis_is_counted_again_from_kafka(
    embedded_broker: Server, own_redis: Server, open_shop: Opening, recording: Recording
) -> None:
    with open_shop(embedded_broker, own_redis, workers=2) as shop:
        with shop.replaying(recording.folder, speed=recording.over(seconds=10)):
            shop.until_records_counted(0.3 * recording.events)
            with redis.Redis.from_url(own_redis.url) as client:
                client.flushall()
        recording.check(shop)


def test_a_redis_wiped_after_counting_is_counted_again_from_kafka(
    embedded_broker: Server, own_redis: Server, open_shop: Opening, recording: Recording
) -> None:
    with open_shop(embedded_broker, own_redis) as shop:
        shop.replay(recording.folder)
        shop.until_counted()
        with redis.Redis.from_url(own_redis.url) as client:
            client.flushall()
        recording.check(shop)


def test_losing_acknowledged_writes_keeps_counts_exact(
    embedded_broker: Server, own_redis: Server, open_shop: Opening, recording: Recording
) -> None:
    with open_shop(embedded_broker, own_redis, workers=2) as shop:
        with shop.replaying(recording.folder, speed=recording.over(seconds=10)):
            shop.until_records_counted(0.2 * recording.events)
            own_redis.pause()
            older = shutil.copytree(own_redis.folder / "appendonlydir", own_redis.folder / "older")
            own_redis.resume()
            shop.until_records_counted(0.5 * recording.events)
            own_redis.kill()
            shutil.rmtree(own_redis.folder / "appendonlydir")
            older.rename(own_redis.folder / "appendonlydir")
            own_redis.restart()
        recording.check(shop)


def test_an_outage_keeps_counts_exact(
    embedded_broker: Server, own_redis: Server, open_shop: Opening, recording: Recording
) -> None:
    with open_shop(embedded_broker, own_redis) as shop:
        with shop.replaying(recording.folder, speed=recording.over(seconds=AWAY_S / 2)):
            shop.until_records_counted(0.05 * recording.events)
            own_redis.kill()
            assert highest_memory_mb(shop, for_s=AWAY_S) < MEMORY_MB
            own_redis.restart()
        recording.check(shop)


def highest_memory_mb(shop: Shop, for_s: float) -> float:
    """Peak memory of the oldest worker during a time."""
    until, highest = time.monotonic() + for_s, 0.0
    while time.monotonic() < until:
        highest = max(highest, shop.memory_mb())
        time.sleep(0.5)
    return highest
