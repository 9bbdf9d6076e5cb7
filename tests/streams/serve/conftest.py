"""A shop with few events that can be counted by hand, and a running app over it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import httpx
import pytest

from streams.settings import Settings
from tests.streams.serve.shop import CLICKS, LOGISTICS, ORDERS, Shop, click, client, order, paid, shop, shop_settings


@pytest.fixture
def settings(redis_url: str) -> Settings:
    return shop_settings(redis_url)


@pytest.fixture
async def open_shop(settings: Settings) -> AsyncIterator[Shop]:
    """As of second 60: three visitors, two of whom buy; a duplicate and a malformed message."""
    async with shop(settings) as made:
        await made.promote("spring", 0, 3600)
        await made.send(
            CLICKS,
            click(1, user="u1", channel="app"),
            click(2, "product_view", user="u1", channel="app", dwell_ms=3000),
            click(3, user="u2", channel="web"),
            click(4, user="u3", channel="web"),
            {**click(5, user="u3"), "event_id": "twice"},
            {**click(5, user="u3"), "event_id": "twice"},
            b"no json",
            click(60, user="u3"),
        )
        await made.send(
            ORDERS,
            order(9, "order_created", 1000, "u1"),
            paid(10, 1000, "u1", "sku-1", channel="app", promotion_id="spring", first_order=True),
            paid(20, 300, "u2", "sku-2", channel="web"),
            order(30, "order_refunded", 300, "u2", "sku-2", channel="web", refund_amount=100),
            order(60, "payment_failed", 50, "u3"),
        )
        await made.send(LOGISTICS, {"type": "shipment_dispatched", "ts": click(60)["ts"], "order_id": "o-u1"})
        await made.attend()
        yield made


@pytest.fixture
async def api(open_shop: Shop, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app that is ready."""
    async with client(settings) as made:
        await ready(made)
        yield made


async def soon(condition: Callable[[], Awaitable[bool]], within_s: float = 15) -> None:
    """Wait until a condition holds."""
    with anyio.fail_after(within_s):
        while not await condition():
            await anyio.sleep(0.02)


async def ready(api: httpx.AsyncClient) -> None:
    async def is_ready() -> bool:
        return (await api.get("/readyz")).status_code == 200

    await soon(is_ready)
