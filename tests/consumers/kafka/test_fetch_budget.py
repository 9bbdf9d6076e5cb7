"""The fetch budget allows one poll batch ahead of the one being processed."""

from __future__ import annotations

import asyncio

import pytest

from consumers.kafka import faust_transport
from consumers.kafka.faust_transport import FetchBudget, RecordBatch
from consumers.topics import Topic

pytestmark = pytest.mark.anyio


def batch(records: int, size: int = 0) -> RecordBatch:
    return RecordBatch(Topic.CLICKS, 0, 0, records, [None] * records, size)  # type: ignore[list-item]


async def is_free(budget: FetchBudget) -> bool:
    waiting = asyncio.ensure_future(budget.wait())
    await asyncio.sleep(0)
    free = waiting.done()
    waiting.cancel()
    return free


async def test_the_budget_allows_another_poll_batch_while_at_most_one_is_held() -> None:
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


async def test_the_budget_counts_bytes() -> None:
    budget = FetchBudget(records=100, size=1_000)
    large, small = batch(1, 1_000), batch(1, 1)
    budget.acquire(large)
    assert await is_free(budget)
    budget.acquire(small)
    assert not await is_free(budget)
    assert (budget.records, budget.size) == (2, 1_001)


async def test_a_waiter_continues_when_a_batch_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faust_transport, "_RECHECK_S", 3_600)
    budget = FetchBudget(records=10, size=1_000)
    held = batch(11)
    budget.acquire(held)
    waiting = asyncio.ensure_future(budget.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    budget.release(held)
    await asyncio.wait_for(waiting, 10)


async def test_unreferenced_batches_do_not_count() -> None:
    budget = FetchBudget(records=10, size=1_000)
    held = batch(11)
    budget.acquire(held)
    waiting = asyncio.ensure_future(budget.wait())
    await asyncio.sleep(0)
    del held
    await asyncio.wait_for(waiting, 10)
    assert budget.records == 0


async def test_releasing_twice_or_without_acquiring_is_harmless() -> None:
    budget = FetchBudget(records=10, size=1_000)
    held = batch(11)
    budget.acquire(held)
    budget.release(held)
    budget.release(held)
    budget.release(batch(3))
    assert budget.records == 0
