"""Answers that are made before they are asked for: a snapshot is what all hot questions come to at one as-of.

`streams.view.follower_thread` makes one at each new as-of; `streams.serve.live` answers from the newest that is finished.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, TypeVar, cast

from streams.store.state import State
from streams.view.queries import ALWAYS, Ask

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
    """Redis's clock: what was counted in Redis by then is in it."""
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


@dataclass(slots=True)
class _Asked:
    """What is known of a question that was asked lately."""

    at_s: float
    followed: bool = False
    """Whether a stream asks it, which waits for the answer at each as-of."""
    took_s: float | None = None
    """Computing time when it was last answered; None: it was not, and so nobody was charged for it."""


class Hot:
    """Which questions were asked lately. Noted in one thread, read in another."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._asked: OrderedDict[Ask[Any], _Asked] = OrderedDict()
        """The last asked at the end."""
        self._ours: dict[Ask[Any], float] = {}
        """# <question of the server itself: when it was asked last, s>"""

    def note(self, ask: Ask[Any], now_s: float, *, followed: bool = False) -> None:
        """It was asked just now."""
        with self._lock:
            if ask in self._ours:
                self._ours[ask] = now_s
                return
            asked = self._asked.setdefault(ask, _Asked(now_s))
            asked.at_s, asked.followed = now_s, followed or asked.followed
            self._asked.move_to_end(ask)
            if len(self._asked) > _MOST_HOT:
                self._asked.popitem(last=False)

    def expect(self, ask: Ask[Any], now_s: float) -> None:
        """The server itself will ask it: before what clients ask, and on nobody's account."""
        with self._lock:
            self._ours[ask] = now_s

    def is_ours(self, ask: Ask[Any]) -> bool:
        """Whether it is a question of the server itself."""
        with self._lock:
            return ask in self._ours

    def took(self, ask: Ask[Any], seconds: float) -> None:
        """Its answer took so much computing time."""
        with self._lock:
            if (asked := self._asked.get(ask)) is not None:
                asked.took_s = seconds

    def quick(self, now_s: float, left_s: float) -> list[Ask[Any]]:
        """What to answer ahead at each new as-of: what always is, and what else fits into this computing time."""
        with self._lock:
            ours = [ask for ask, at_s in self._ours.items() if not ask.warm_s and at_s >= now_s - STAYS_HOT_S]
            lately = [
                (ask, asked)
                for ask, asked in self._lately(now_s)
                if not ask.warm_s and asked.at_s >= now_s - STAYS_HOT_S and ask not in ALWAYS
            ]
        return [*ALWAYS, *ours, *_that_fit(lately, left_s)]

    def slow(self, now_s: float, left_s: float, *, warm: bool) -> list[Ask[Any]]:
        """What to answer after that, the server's own first; `warm`: also what was not asked for a while."""
        with self._lock:
            ours = [
                ask
                for ask, at_s in self._ours.items()
                if ask.warm_s and at_s >= now_s - (ask.warm_s if warm else STAYS_HOT_S)
            ]
            lately = [
                (ask, asked)
                for ask, asked in self._lately(now_s)
                if ask.warm_s and (warm or asked.at_s >= now_s - STAYS_HOT_S)
            ]
        return [*ours, *_that_fit(lately, left_s)]

    def _lately(self, now_s: float) -> list[tuple[Ask[Any], _Asked]]:
        for ask, asked in list(self._asked.items()):
            if asked.at_s < now_s - max(ask.warm_s, STAYS_HOT_S):
                del self._asked[ask]
        return list(self._asked.items())


def _that_fit(lately: Iterable[tuple[Ask[Any], _Asked]], left_s: float) -> Iterator[Ask[Any]]:
    """Those that are followed first, then those that take least: each that fits into what computing time is left."""
    known = [(not asked.followed, asked.took_s, ask) for ask, asked in lately if asked.took_s is not None]
    for _, took_s, ask in sorted(known, key=lambda one: one[:2]):
        if took_s <= left_s:
            left_s -= took_s
            yield ask
