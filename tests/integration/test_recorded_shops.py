"""Recorded shops, replayed end to end, give exactly the answers that were computed independently."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.event_sets import EventSets
from tests.support.expected import Expected, recorded_totals
from tests.support.servers import Server
from tests.support.stack import stack

pytestmark = pytest.mark.slow


def what_is_wrong(broker: Server, store: Server, folder: Path, *, partitions: int, workers: int) -> list[str]:
    """Unexpected numbers once a recording is counted, one line each."""
    expected, right = Expected.read(folder), recorded_totals(folder)
    with stack(broker, store, partitions=partitions, workers=workers, timezone=expected.timezone) as shop:
        shop.replay(folder)
        shop.until_counted()
        totals = shop.totals()
        wrong = [name for name in sorted(right.keys() | totals.keys()) if right.get(name) != totals.get(name)]
        return [f"total {name} is {totals.get(name)} instead of {right.get(name)}" for name in wrong] + list(
            expected.differences(shop.api)
        )


@pytest.mark.parametrize("name", ["olist", "taobao"])
class TestEveryAnswerIsExact:
    @pytest.mark.parametrize(("partitions", "workers"), [(1, 2), (4, 1), (12, 2)])
    def test_on_the_embedded_broker(
        self,
        embedded_broker: Server,
        redis_server: Server,
        event_sets: EventSets,
        name: str,
        partitions: int,
        workers: int,
    ) -> None:
        folder = event_sets[name]
        assert what_is_wrong(embedded_broker, redis_server, folder, partitions=partitions, workers=workers) == []

    @pytest.mark.kafka
    @pytest.mark.parametrize(("partitions", "workers"), [(1, 1), (4, 2), (12, 1)])
    def test_on_apache_kafka(
        self,
        apache_kafka: Server,
        redis_server: Server,
        event_sets: EventSets,
        name: str,
        partitions: int,
        workers: int,
    ) -> None:
        folder = event_sets[name]
        assert what_is_wrong(apache_kafka, redis_server, folder, partitions=partitions, workers=workers) == []


@pytest.mark.parametrize("name", ["browsed", "shipped"])
def test_every_answer_for_a_generated_shop_is_exact(
    broker: Server, redis_server: Server, event_sets: EventSets, name: str
) -> None:
    assert what_is_wrong(broker, redis_server, event_sets[name], partitions=4, workers=2) == []
