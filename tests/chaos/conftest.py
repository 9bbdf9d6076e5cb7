"""Fixtures of the chaos tests: a small shop, and servers that tests may damage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest

from tests.support.event_sets import EventSets
from tests.support.expected import Expected, check, recorded_totals
from tests.support.seed import rng
from tests.support.servers import Server, redis_server
from tests.support.stack import Shop, Store, stack

__all__ = ["rng"]


class Recording:
    """A shop's events, and the answers that they must give after any fault."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.expected = Expected.read(folder)
        self._totals = recorded_totals(folder)
        self.events = sum(self._totals.values())

    def over(self, seconds: float) -> float:
        """The speed at which its nine days are written in a number of seconds."""
        return 9 * 86_400 / seconds

    def check(self, shop: Shop) -> None:
        """Assert that everything counted exactly once and every answer is right."""
        shop.until_counted()
        assert shop.totals() == self._totals, shop.log()
        check(shop.api, self.expected)


class Opening(Protocol):
    """Opens a shop for the recording."""

    def __call__(self, broker: Server, store: Store, **changes: object) -> AbstractContextManager[Shop]: ...


@pytest.fixture(scope="session")
def recording(event_sets: EventSets) -> Recording:
    return Recording(event_sets.at_hand("taobao"))


@pytest.fixture
def open_shop(recording: Recording) -> Opening:
    """A shop with small batches and frequent compactions, so that faults hit every phase."""
    return partial(stack, timezone=recording.expected.timezone, batch_records=1000, compact_every_s=1.5)


@pytest.fixture
def own_redis() -> Iterator[Server]:
    """The test's own Redis, which keeps its data over a kill."""
    with redis_server(aof=True) as server:
        yield server
