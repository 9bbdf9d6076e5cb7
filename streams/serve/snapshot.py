"""Answers that are made before they are asked for: a snapshot is what all hot questions come to at one as-of.

`streams.serve.following` makes one at each new as-of; `streams.serve.live` answers from the newest that is finished.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, TypeVar, cast

from streams.serve.asks import ALWAYS, Ask
from streams.store.state import State

T = TypeVar("T")

STAYS_HOT_S = 3.0
"""A question is answered ahead for so long after it was asked last."""
_MOST_HOT = 64
_MOST_MADE = 256


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Answers of one as-of, made from one state of the store. Never changed: the next one takes its place."""

    as_of_ms: int | None = None
    rests_on: Hashable = None
    """What was counted when it was made, see `content`."""
    read_ms: int = 0
    """Machine's clock: what was counted in Redis by then is in it."""
    positions: Mapping[str, int] = field(default_factory=dict)
    """Of each partition the offset up to which records are in it."""
    made: Mapping[Ask[Any], Any] = field(default_factory=dict)

    def is_of(self, as_of_ms: int | None, rests_on: Hashable) -> bool:
        """Whether it is of this as-of and this state: late events change a state, and leave the as-of."""
        return (self.as_of_ms, self.rests_on) == (as_of_ms, rests_on)

    def answer(self, ask: Ask[T]) -> T | None:
        """The answer, if it is among those made ahead."""
        return cast(T | None, self.made.get(ask))

    def having(self, ask: Ask[T], answer: T) -> Snapshot:
        """The same with one more answer, made from the same state."""
        return self if len(self.made) >= _MOST_MADE else replace(self, made={**self.made, ask: answer})


def content(state: State) -> Hashable:
    """What answers at one as-of depend on: while it stays the same, they do."""
    positions = tuple((partition, held.position, held.newest_ms) for partition, held in state.partitions.items())
    return state.epochs, state.promotions_version, positions


class Hot:
    """Which questions were asked lately. Noted in one thread, read in another."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._asked: OrderedDict[Ask[Any], float] = OrderedDict()
        """# <question: when it was asked last, s>; the last asked at the end"""

    def note(self, ask: Ask[Any], now_s: float) -> None:
        """It was asked just now."""
        with self._lock:
            self._asked[ask] = now_s
            self._asked.move_to_end(ask)
            if len(self._asked) > _MOST_HOT:
                self._asked.popitem(last=False)

    def quick(self, now_s: float) -> Iterator[Ask[Any]]:
        """What to answer ahead at each new as-of."""
        yield from ALWAYS
        for ask, asked_s in self._lately(now_s):
            if not ask.warm_s and asked_s >= now_s - STAYS_HOT_S and ask not in ALWAYS:
                yield ask

    def slow(self, now_s: float, *, warm: bool) -> Iterator[Ask[Any]]:
        """What to answer after that; `warm`: also what was not asked for a while."""
        for ask, asked_s in self._lately(now_s):
            if ask.warm_s and (warm or asked_s >= now_s - STAYS_HOT_S):
                yield ask

    def _lately(self, now_s: float) -> list[tuple[Ask[Any], float]]:
        with self._lock:
            for ask, asked_s in list(self._asked.items()):
                if asked_s < now_s - max(ask.warm_s, STAYS_HOT_S):
                    del self._asked[ask]
            return list(self._asked.items())
