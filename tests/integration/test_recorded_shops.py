"""Recorded shops, replayed through everything, give exactly the answers that were worked out apart from the product."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.expected import Expected, check, recorded_totals
from tests.support.servers import Server
from tests.support.stack import stack

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("redis_url")]


def counts_right(broker: Server, store: Server, folder: Path, *, partitions: int, workers: int) -> None:
    expected = Expected.read(folder)
    with stack(broker, store, partitions=partitions, workers=workers, timezone=expected.timezone) as shop:
        shop.replay(folder)
        shop.until_counted()
        assert shop.totals() == recorded_totals(folder)
        check(shop.api, expected)


@pytest.mark.parametrize("name", ["olist", "taobao"])
class TestEveryAnswerIsExact:
    @pytest.mark.parametrize(("partitions", "workers"), [(1, 2), (4, 1), (12, 2)])
    def test_on_the_embedded_broker(
        self, embedded_broker: Server, redis_server: Server, shared_data: Path, name: str, partitions: int, workers: int
    ) -> None:
        counts_right(embedded_broker, redis_server, shared_data / name, partitions=partitions, workers=workers)

    @pytest.mark.kafka
    @pytest.mark.parametrize(("partitions", "workers"), [(1, 1), (4, 2), (12, 1)])
    def test_on_apache_kafka(
        self, apache_kafka: Server, redis_server: Server, shared_data: Path, name: str, partitions: int, workers: int
    ) -> None:
        counts_right(apache_kafka, redis_server, shared_data / name, partitions=partitions, workers=workers)
