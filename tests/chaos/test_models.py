"""Workers with different models: each event counts once, by one model at a time, and no live answer is wrong."""

from __future__ import annotations

import re
import time

import httpx
import msgspec
import pytest
import redis

from consumers.settings import Clock
from streams.process.shutdown_watchdog import END_WITHIN_S, SUPERSEDED_CODE
from streams.store.keys import Keys
from streams.store.worker_setup import StoredSetup
from tests.chaos.conftest import Opening, Recording
from tests.support.redis_cluster import Cluster
from tests.support.servers import Server
from tests.support.stack import Shop, stack
from tests.support.traffic import Traffic, Witness
from tests.support.wait import eventually

pytestmark = pytest.mark.slow

MODEL = """
version: 1
measures:
  - {name: app_orders, count: order_paid, where: {channel: app}}
  - {name: largest_order, max: amount, of: order_paid, unit: money}
"""
WORKER = f"""
import os, signal, sys
from dataclasses import replace
from streams.dictionary.file import read_model_file
from streams.settings import Settings
from streams.store.worker_setup import SetupStore
from streams.worker import app, partition
partition.COMPACT_EVERY_S = float(sys.argv[1])
settings, declared_setup = Settings(), app.declared_setup
read = read_model_file({MODEL!r}, exponent=settings.money_exponent)
def with_model(*args):
    return replace(declared_setup(*args), model=read.model, definitions=read.definitions)
app.declared_setup = with_model
def end(*args, **options):
    os.kill(os.getpid(), signal.SIGKILL)
"""
WITH_MODEL = f"{WORKER}\napp.run(settings)\n"
"""A worker with the model above."""
DIES_BEFORE_SHARDS = f"{WORKER}\nSetupStore._complete = end\napp.run(settings)\n"
"""It is killed when it has announced its model, and has set it in no shard."""
DIES_IN_SHARDS = f"{WORKER}\nSetupStore._note_feeds = end\napp.run(settings)\n"
"""It is killed when all shards refuse the former worker's batches, and its model is not in force."""
FORMER = re.compile(r"another worker of release \S+ started with another model.*exiting with code 3")


def stored(shop: Shop) -> StoredSetup:
    """The model in Redis."""
    keys = Keys(shop.settings.redis_prefix, shop.settings.shards)
    kind = redis.RedisCluster if shop.settings.redis_cluster else redis.Redis
    with kind.from_url(shop.redis.url) as client:
        return msgspec.json.decode(client.get(keys.setup), type=StoredSetup)


def until_generation(shop: Shop, generation: int) -> None:
    """Wait until all shards have a model."""

    def found() -> bool:
        return {token.split(" ")[0] for token in shop.state().setups} == {str(generation)}

    eventually(found, within_s=30, every_s=0.01, what=f"all shards have generation {generation}")


def former_ends(shop: Shop) -> None:
    """Assert that the oldest worker sees within 2 s that it is superseded, and ends with code 3."""
    eventually(lambda: FORMER.search(shop.log()), within_s=2, every_s=0.1, what="the former worker says why it ends")
    assert shop.workers.pop(0).ended(within_s=END_WITHIN_S) == SUPERSEDED_CODE, shop.log()


def test_a_worker_with_another_model_replaces_the_former_one(
    embedded_broker: Server, cluster: Cluster, open_shop: Opening, recording: Recording
) -> None:
    with open_shop(embedded_broker, cluster, redis_cluster=True, shards=3) as shop:
        with shop.replaying(recording.folder, speed=recording.over(seconds=8)):
            shop.until_records_counted(0.2 * recording.events)
            shop.start_worker(WITH_MODEL)
            until_generation(shop, 2)
            former_ends(shop)
        recording.check(shop)
        names = stored(shop).model.names.measures
        assert names["gmv"].since_ms is None
        since_ms = names["app_orders"].since_ms
        assert since_ms is not None
        assert since_ms % 60_000 == 0
        newest_ms = max(held.newest_ms or 0 for held in shop.state().partitions.values())
        assert since_ms <= newest_ms, "it began during the recording"


@pytest.mark.parametrize("program", [DIES_BEFORE_SHARDS, DIES_IN_SHARDS], ids=["before shards", "in shards"])
def test_a_change_that_is_cut_off_is_completed_by_the_next_worker(
    embedded_broker: Server, redis_server: Server, open_shop: Opening, recording: Recording, program: str
) -> None:
    with open_shop(embedded_broker, redis_server, shards=3) as shop:
        with shop.replaying(recording.folder, speed=recording.over(seconds=8)):
            shop.until_records_counted(0.2 * recording.events)
            shop.start_worker(program)
            assert shop.workers.pop().ended(within_s=30) == -9, shop.log()
            assert stored(shop).changing
            _until_reason(shop, "its change is not complete")
            if program is DIES_IN_SHARDS:
                former_ends(shop)
            shop.start_worker(WITH_MODEL)
            until_generation(shop, 2)
            if program is DIES_BEFORE_SHARDS:
                former_ends(shop)
        recording.check(shop)
        assert not stored(shop).changing
        assert not shop.state().setup_changing


def _until_reason(shop: Shop, reason: str) -> None:
    def reported() -> bool:
        return reason in httpx.get(f"{shop.api.url}/readyz", timeout=5).text

    eventually(reported, within_s=10, what=f"/readyz has {reason!r}")


def test_live_answers_are_right_while_models_change_and_a_supervisor_restarts_the_former(
    embedded_broker: Server, redis_server: Server
) -> None:
    with (
        stack(embedded_broker, redis_server, clock=Clock.WALL, session_timeout_s=6) as shop,
        Traffic(embedded_broker.bootstrap) as traffic,
        Witness(shop.api, traffic) as witness,
    ):
        witness.until_live()
        began_s = time.monotonic()
        shop.start_worker(WITH_MODEL)
        until_generation(shop, 2)
        former_ends(shop)
        shop.start_worker()  # with the former model
        witness.until_not_live()
        assert witness.until_live().at_s > began_s
        assert "workers differ in model or sources" in witness.reasons(began_s), witness.reasons(began_s)
        eventually(lambda: "less than 30 s ago" in shop.log(), within_s=20, what="the former waits")
        assert {token.split(" ")[0] for token in shop.state().setups} == {"2"}
        assert not witness.wrong(began_s), witness.wrong(began_s)[:3]
