"""Room for what is fetched ahead: one go is counted while the next is gathered, and no more is held."""

from __future__ import annotations

import asyncio

import pytest

from consumers.kafka.faust_transport import FetchBudget, RecordBatch
from consumers.topics import Topic

pytestmark = pytest.mark.anyio


def batch(records: int, size: int = 0) -> RecordBatch:
    return RecordBatch(Topic.CLICKS, 0, 0, records, [None] * records, size)  # type: ignore[list-item]


async def is_free(budget: FetchBudget) -> bool:
    try:
        await asyncio.wait_for(budget.wait(), 0.01)
    except TimeoutError:
        return False
    return True


async def test_there_is_room_for_another_go_while_no_more_than_one_is_held() -> None:
    budget = FetchBudget(records=100, size=1_000)
    assert await is_free(budget)
    first, second = batch(60), batch(40)
    budget.acquire(first)
    budget.acquire(second)
    assert await is_free(budget)
    third = batch(1)
    budget.acquire(third)
    assert not await is_free(budget)
    budget.release(first)
    assert await is_free(budget)


async def test_bytes_count_too() -> None:
    budget = FetchBudget(records=100, size=1_000)
    large, small = batch(1, 1_000), batch(1, 1)
    budget.acquire(large)
    assert await is_free(budget)
    budget.acquire(small)
    assert not await is_free(budget)
    assert (budget.records, budget.size) == (2, 1_001)


async def test_whoever_waits_goes_on_as_soon_as_something_is_done_with() -> None:
    budget = FetchBudget(records=10, size=1_000)
    held = batch(11)
    budget.acquire(held)
    waiting = asyncio.ensure_future(budget.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    budget.release(held)
    await asyncio.wait_for(waiting, 0.05)


async def test_what_nobody_holds_any_more_takes_up_no_room() -> None:
    budget = FetchBudget(records=10, size=1_000)
    held = batch(11)
    budget.acquire(held)
    waiting = asyncio.ensure_future(budget.wait())
    await asyncio.sleep(0)
    del held
    await asyncio.wait_for(waiting, 1)
    assert budget.records == 0


async def test_giving_twice_or_what_was_never_taken_is_no_harm() -> None:
    budget = FetchBudget(records=10, size=1_000)
    held = batch(11)
    budget.acquire(held)
    budget.release(held)
    budget.release(held)
    budget.release(batch(3))
    assert budget.records == 0
