"""Recorded shops, replayed end to end, give exactly the answers that were computed independently."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.combinations import on_alternate_brokers
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


@pytest.mark.parametrize(
    ("broker", "name", "partitions", "workers"),
    on_alternate_brokers(
        ("olist", 1, 2), ("taobao", 1, 1), ("taobao", 4, 1), ("olist", 4, 2), ("taobao", 12, 2), ("olist", 12, 1)
    ),
    indirect=["broker"],
)
def test_every_answer_for_a_recorded_shop_is_exact(
    broker: Server, redis_server: Server, event_sets: EventSets, name: str, partitions: int, workers: int
) -> None:
    assert what_is_wrong(broker, redis_server, event_sets[name], partitions=partitions, workers=workers) == []


@pytest.mark.parametrize(("broker", "name"), on_alternate_brokers(("shipped",), ("browsed",)), indirect=["broker"])
def test_every_answer_for_a_generated_shop_is_exact(
    broker: Server, redis_server: Server, event_sets: EventSets, name: str
) -> None:
    assert what_is_wrong(broker, redis_server, event_sets[name], partitions=4, workers=2) == []
