"""Cached distinct counts equal those of a new view, whatever is evicted."""

from __future__ import annotations

from random import Random

import pytest

from streams.clock import now_ms
from streams.view import live_distincts
from tests.streams.shop import CLICKS_0, CLICKS_1, LOGISTICS_0, ORDERS_0, Shop, listed
from tests.support.events import some_events

pytestmark = pytest.mark.anyio

WINDOWS = ("1m", "5m", "15m", "1h", "24h")
SCOPES = ("all", "channel", "sku")


@pytest.mark.parametrize("limit", [1, 300_000, 10**9])
async def test_dropped_rows_are_rebuilt_with_equal_counts(
    shop: Shop, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small limit drops all rows but those of the query; a little more than a pane passes between queries."""
    monkeypatch.setattr(live_distincts.LiveDistincts.__init__, "__defaults__", (limit,))
    chance = Random(limit)
    view = await shop.view()
    for now in range(7_200, 7_200 + 24 * 37, 37):
        for partition in (CLICKS_0, CLICKS_1, ORDERS_0, LOGISTICS_0):
            late = chance.choice((5, 40, 700, 4_000))
            events = some_events(partition.topic, 6, chance.randrange(10**9), start=now - late, length=late)
            await shop.feed(partition, events)
        if chance.random() < 0.3:
            await shop.compact(chance.choice((CLICKS_0, CLICKS_1, ORDERS_0)))
        await view.poll(now_ms())
        fresh = await shop.view()
        for window in chance.sample(WINDOWS, 2):
            for scope in SCOPES:
                assert await listed(view, window, scope) == await listed(fresh, window, scope), (now, window, scope)
