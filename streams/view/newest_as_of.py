"""The newest as-of of a store's state."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from consumers.topics import Topic
from streams.settings import Settings
from streams.store.as_of import AsOf, as_of
from streams.store.state import StoreState


def newest_as_of(
    state: StoreState, now_ms: int, settings: Settings, *, waiting_for: Collection[Topic] | None = None
) -> AsOf:
    """The newest as-of, and the partitions that hold it back or are stale.

    Partitions that no worker reads count as stale; the as-of does not wait for them. `waiting_for`: topics; by default
    those of the settings.
    """
    found = as_of(
        state.existing_partitions,
        now_ms=now_ms,
        clock=settings.clock,
        idle_after_ms=int(settings.idle_after_s * 1000),
        stale_after_ms=int(settings.stale_after_s * 1000),
        topics=settings.topics_in_as_of if waiting_for is None else waiting_for,
    )
    return replace(found, stale=(*found.stale, *state.unread))


def queryable_until_ms(state: StoreState, now_ms: int, settings: Settings) -> int | None:
    """The newest moment that can be queried.

    This is the newest as-of. If it is unknown because a partition never had an event, it is that of the other
    partitions.
    """
    known = {name: held for name, held in state.existing_partitions.items() if held.newest_ms is not None}
    moment = newest_as_of(state, now_ms, settings).ms
    return newest_as_of(StoreState(state.epochs, known, 0), now_ms, settings).ms if moment is None else moment
