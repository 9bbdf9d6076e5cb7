"""Up to which moment there is an answer."""

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
    """The newest as-of, and what it rests on. Partitions that no worker reads are among the stale ones; the as-of does
    not wait for them, since nothing is known of them, and is not live. `waiting_for`: topics; by default those that the
    settings name."""
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
    """Up to where earlier moments can be asked about.

    That is the newest as-of; where some partition never had an event, and nothing is known of the present for it, that
    of the others.
    """
    known = {name: held for name, held in state.existing_partitions.items() if held.newest_ms is not None}
    moment = newest_as_of(state, now_ms, settings).ms
    return newest_as_of(StoreState(state.epochs, known, 0), now_ms, settings).ms if moment is None else moment
