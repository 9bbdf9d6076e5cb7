"""What the chaos tests share: a small shop, and servers that may be harmed."""

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
    """The events of a shop, and the answers that they must give whatever was done meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.expected = Expected.read(folder)
        self._totals = recorded_totals(folder)
        self.events = sum(self._totals.values())

    def over(self, seconds: float) -> float:
        """The speed at which its nine days are written in about so many seconds."""
        return 9 * 86_400 / seconds

    def check(self, shop: Shop) -> None:
        """Everything counted exactly once, and every answer right."""
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
    """A shop that takes small batches and rolls often, so that harm meets it at every kind of moment."""
    return partial(stack, timezone=recording.expected.timezone, batch_records=1000, roll_every_s=1.5)


@pytest.fixture
def own_redis() -> Iterator[Server]:
    """A Redis of the test's own that keeps its data over a kill."""
    with redis_server(aof=True) as server:
        yield server
