"""Orders are joined over two topics while workers are killed: every shipping number stays right."""

from __future__ import annotations

import time
from functools import partial
from random import Random

import pytest

from tests.chaos.conftest import Recording
from tests.support.combinations import on_alternate_brokers
from tests.support.event_sets import EventSets
from tests.support.servers import Server
from tests.support.stack import stack

pytestmark = pytest.mark.slow

DAYS = 525
"""From the first event of the recording to the last."""


@pytest.fixture
def parcels(event_sets: EventSets, request: pytest.FixtureRequest) -> Recording:
    return Recording(event_sets.at_hand("olist") if request.param == "recorded" else event_sets["shipped"])


@pytest.mark.parametrize(
    ("broker", "parcels"), on_alternate_brokers(("refunded in part and paid twice",), ("recorded",)), indirect=True
)
def test_kills_during_joins_keep_counts_exact(
    broker: Server, redis_server: Server, parcels: Recording, rng: Random
) -> None:
    small = partial(stack, timezone=parcels.expected.timezone, batch_records=1000, compact_every_s=1.5)
    with small(broker, redis_server, workers=2, session_timeout_s=6) as shop:
        with shop.replaying(parcels.folder, speed=DAYS * 86_400 / 12):
            for _ in range(4):
                time.sleep(rng.uniform(1, 4))
                shop.kill_worker(rng.randrange(2))
                shop.start_worker()
        parcels.check(shop)
