"""Room for what is fetched ahead: one go is counted while the next is gathered, and no more is held."""

from __future__ import annotations

import asyncio

import pytest

from consumers.kafka.faust_transport import RecordBatch, Room
from consumers.topics import Topic

pytestmark = pytest.mark.anyio


def batch(records: int, size: int = 0) -> RecordBatch:
    return RecordBatch(Topic.CLICKS, 0, 0, records, [None] * records, size)  # type: ignore[list-item]


async def is_free(room: Room) -> bool:
    try:
        await asyncio.wait_for(room.wait(), 0.01)
    except TimeoutError:
        return False
    return True


async def test_there_is_room_for_another_go_while_no_more_than_one_is_held() -> None:
    room = Room(records=100, size=1_000)
    assert await is_free(room)
    first, second = batch(60), batch(40)
    room.take(first)
    room.take(second)
    assert await is_free(room)
    third = batch(1)
    room.take(third)
    assert not await is_free(room)
    room.give(first)
    assert await is_free(room)


async def test_bytes_count_too() -> None:
    room = Room(records=100, size=1_000)
    large, small = batch(1, 1_000), batch(1, 1)
    room.take(large)
    assert await is_free(room)
    room.take(small)
    assert not await is_free(room)
    assert (room.records, room.size) == (2, 1_001)


async def test_whoever_waits_goes_on_as_soon_as_something_is_done_with() -> None:
    room = Room(records=10, size=1_000)
    held = batch(11)
    room.take(held)
    waiting = asyncio.ensure_future(room.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    room.give(held)
    await asyncio.wait_for(waiting, 0.05)


async def test_what_nobody_holds_any_more_takes_up_no_room() -> None:
    room = Room(records=10, size=1_000)
    held = batch(11)
    room.take(held)
    waiting = asyncio.ensure_future(room.wait())
    await asyncio.sleep(0)
    del held
    await asyncio.wait_for(waiting, 1)
    assert room.records == 0


async def test_giving_twice_or_what_was_never_taken_is_no_harm() -> None:
    room = Room(records=10, size=1_000)
    held = batch(11)
    room.take(held)
    room.give(held)
    room.give(held)
    room.give(batch(3))
    assert room.records == 0
