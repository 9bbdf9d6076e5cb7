"""Polling and queries at the same time: a batch applied while a query waits for Redis is counted once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import ClassVar

import pytest

from consumers.topics import Partition
from streams.clock import now_ms
from streams.model.windows import Window
from streams.store.merging import BlockId
from streams.store.reader import PaneReader, StoredBlock
from streams.view.query import KpiQuery
from tests.streams.shop import CLICKS_0, CLICKS_1, ORDERS_0, Shop, ask
from tests.streams.view.comparing import assert_true
from tests.support.events import click, paid

pytestmark = pytest.mark.anyio


class Slow(PaneReader):
    """A reader that runs an action between Redis's answer and its return."""

    meanwhile: ClassVar[dict[int, Callable[[], Awaitable[None]]]] = {}
    """# {number of further reads: action}"""

    async def blocks(self, wanted: Sequence[BlockId], partitions: Iterable[Partition]) -> dict[BlockId, StoredBlock]:
        found = await super().blocks(wanted, partitions)
        happens = Slow.meanwhile.pop(0, None)
        Slow.meanwhile = {left - 1: then for left, then in Slow.meanwhile.items()}
        if happens is not None:
            await happens()
        return found


@pytest.mark.parametrize("rolled", [False, True])
@pytest.mark.parametrize("window", ["1m", "1h"])
async def test_a_batch_applied_while_blocks_are_read_is_counted_once(shop: Shop, window: str, rolled: bool) -> None:
    await shop.feed(CLICKS_0, [click(at=at) for at in range(30)])
    view = await shop.view(reader=Slow)

    async def meanwhile() -> None:
        await shop.feed(CLICKS_0, [click(at=at, user=f"u-{at}") for at in range(10, 40)])
        if rolled:
            await shop.compact(CLICKS_0)
        await view.poll(now_ms())

    Slow.meanwhile = {0: meanwhile}
    await ask(view, window)
    await assert_true(shop, view, windows=[window], scopes=["all"])


@pytest.mark.parametrize("reads", [0, 1])
async def test_a_view_that_restarts_during_a_query_still_answers(shop: Shop, reads: int) -> None:
    await shop.feed(CLICKS_0, [click(at=at) for at in range(3_600, 4_200)])
    view = await shop.view(reader=Slow)

    async def meanwhile() -> None:
        await shop.feed(ORDERS_0, [paid(at=3_605)])
        await shop.feed(CLICKS_1, [click(at=4_210)])
        await view.poll(now_ms())

    Slow.meanwhile = {reads: meanwhile}
    await ask(view, "day")
    assert not Slow.meanwhile
    await view.poll(now_ms())
    await assert_true(shop, view, scopes=["all"])


async def test_concurrent_queries_during_polling_are_exact(shop: Shop) -> None:
    await shop.feed(CLICKS_0, [click(at=at) for at in range(0, 7_200, 7)])
    view = await shop.view()

    async def follow() -> None:
        for at in range(7_200, 7_260):
            await shop.feed(CLICKS_0, [click(at=at)])
            if at % 9 == 0:
                await shop.compact(CLICKS_0)
            await view.poll(now_ms())

    async def questions() -> None:
        for _ in range(20):
            await asyncio.gather(*(view.every(KpiQuery(window), now_ms()) for window in Window))

    await asyncio.gather(follow(), questions(), questions())
    await assert_true(shop, view, scopes=["all"])
