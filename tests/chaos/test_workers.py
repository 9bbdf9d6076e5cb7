"""Workers that crash, join, leave and hang: each event counts once."""

from __future__ import annotations

import time
from random import Random

import pytest

from tests.chaos.conftest import Opening, Recording
from tests.support.servers import Server

pytestmark = pytest.mark.slow

SESSION_S = 6


def test_killing_workers_at_random_keeps_counts_exact(
    broker: Server, redis_server: Server, open_shop: Opening, recording: Recording, rng: Random
) -> None:
    with open_shop(broker, redis_server, workers=2, session_timeout_s=SESSION_S) as shop:
        with shop.replaying(recording.folder, speed=recording.over(seconds=10)):
            for _ in range(4):
                time.sleep(rng.uniform(1, 5))
                shop.kill_worker(rng.randrange(2))
                shop.start_worker()
        recording.check(shop)


def test_a_member_that_keeps_joining_and_leaving_keeps_counts_exact(
    broker: Server, redis_server: Server, open_shop: Opening, recording: Recording
) -> None:
    with open_shop(broker, redis_server, workers=1) as shop:
        with shop.replaying(recording.folder, speed=recording.over(seconds=10)):
            until = time.monotonic() + 12
            while time.monotonic() < until:
                shop.start_worker()
                time.sleep(2)
                shop.stop_worker(1)
                time.sleep(2)
        recording.check(shop)


def test_rolling_restarts_count_exactly(
    broker: Server, redis_server: Server, open_shop: Opening, recording: Recording
) -> None:
    with open_shop(broker, redis_server, workers=2) as shop:
        with shop.replaying(recording.folder, speed=recording.over(seconds=10)):
            shop.until_records_counted(0.1 * recording.events)
            for _ in range(2):
                shop.start_worker()
                shop.stop_worker()
        recording.check(shop)


def test_killing_workers_after_counting_keeps_counts_exact(
    broker: Server, redis_server: Server, open_shop: Opening, recording: Recording
) -> None:
    with open_shop(broker, redis_server) as shop:
        shop.replay(recording.folder)
        shop.until_counted()
        shop.kill_worker()  # its last offsets are not committed to Kafka
        shop.start_worker()
        shop.until_worker_heartbeats_stop()
        recording.check(shop)
        assert not shop.incomplete()


def test_a_zombie_cannot_write(broker: Server, redis_server: Server, open_shop: Opening, recording: Recording) -> None:
    with open_shop(broker, redis_server, workers=2, session_timeout_s=SESSION_S) as shop:
        shop.until_all_partitions_worked()
        with shop.replaying(recording.folder, speed=recording.over(seconds=10)):
            shop.until_records_counted(0.1 * recording.events)
            shop.workers[0].pause()
            time.sleep(SESSION_S + 3)  # the other worker has its partitions by now
            shop.workers[0].resume()
        recording.check(shop)
