"""One node of a Redis Cluster crashes: its shards wait, and in the end everything counts once."""

from __future__ import annotations

import time
from random import Random

import pytest

from tests.chaos.conftest import Opening, Recording
from tests.support.redis_cluster import redis_cluster
from tests.support.servers import Server

pytestmark = pytest.mark.slow


def test_killing_cluster_nodes_under_load_keeps_counts_exact(
    embedded_broker: Server, open_shop: Opening, recording: Recording, rng: Random
) -> None:
    with (
        redis_cluster() as cluster,
        open_shop(embedded_broker, cluster, workers=2, redis_cluster=True, shards=6) as shop,
    ):
        with shop.replaying(recording.folder, speed=recording.over(seconds=12)):
            shop.until_records_counted(0.02 * recording.events)
            for node in (cluster.nodes[1], rng.choice(cluster.nodes)):
                node.kill()
                time.sleep(rng.uniform(0, 3))  # the others may or may not have noticed
                node.restart()
                time.sleep(rng.uniform(0.5, 2))
        recording.check(shop)
        assert all(cluster.keys())
        assert not shop.incomplete()
