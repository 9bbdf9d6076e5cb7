"""Precomputed answers: a snapshot holds the answers to all hot queries at one as-of.

`streams.view.follower_thread` builds a snapshot at each new as-of; `streams.serve.live` answers from the newest one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, TypeVar, cast

from streams.store.state import StoreState
from streams.view.cached_queries import ALWAYS_HOT, CachedQuery

T = TypeVar("T")

STAYS_HOT_S = 3.0
"""How long after its last use a query is precomputed."""
_MOST_HOT = 64
"""Maximum number of clients' queries whose use is recorded."""
_MOST_MADE = 256
"""Maximum number of answers in a snapshot."""


@dataclass(frozen=True, slots=True)
class AnswerSnapshot:
    """Answers at one as-of, from one state of the store. Immutable; the next snapshot replaces it."""

    as_of_ms: int | None = None
    cache_key: Hashable = None
    """The state that it was computed from, see `state_key`."""
    read_ms: int = 0
    """Redis's clock: all that was counted by then is included."""
    positions: Mapping[str, int] = field(default_factory=dict)
    """# {partition: offset up to which records are included}"""
    answers: Mapping[CachedQuery[Any], Any] = field(default_factory=dict)

    def matches(self, as_of_ms: int | None, cache_key: Hashable) -> bool:
        """Whether it is of this as-of and state. Late events change the state and not the as-of."""
        return (self.as_of_ms, self.cache_key) == (as_of_ms, cache_key)

    def answer(self, cached_query: CachedQuery[T]) -> T | None:
        """The answer to a query, if it was precomputed."""
        return cast(T | None, self.answers.get(cached_query))

    def with_answer(self, cached_query: CachedQuery[T], answer: T) -> AnswerSnapshot:
        """A snapshot with one more answer from the same state."""
        if len(self.answers) >= _MOST_MADE:
            return self
        return replace(self, answers={**self.answers, cached_query: answer})


def state_key(state: StoreState) -> Hashable:
    """Key of a state: as long as it is the same, so are answers at one as-of."""
    positions = tuple(
        (partition, partition_state.position, partition_state.newest_ms)
        for partition, partition_state in state.partitions.items()
    )
    return state.epochs, state.setup, state.promotions_version, positions


@dataclass(slots=True)
class _QueryUse:
    """The recent use of a query."""

    at_s: float
    followed: bool = False
    """Whether a stream subscribes to it and waits for each new answer."""
    took_s: float | None = None
    """CPU seconds of its last answer; None if it was not computed, so its cost is unknown."""


class HotQueries:
    """Which queries to answer before clients ask, by recent use. Recorded in one thread, read in another."""

    def __init__(self, always: Sequence[CachedQuery[Any]] = ALWAYS_HOT) -> None:
        """`always`: precomputed whether they are used or not."""
        self._always = always
        self._lock = Lock()
        self._asked: OrderedDict[CachedQuery[Any], _QueryUse] = OrderedDict()
        """# {query: use}, the least recent first"""
        self._internal: dict[CachedQuery[Any], float] = {}
        """# {query of the server itself: time of its last use, seconds}"""

    def record_use(self, cached_query: CachedQuery[Any], now_s: float, *, followed: bool = False) -> None:
        """Record that a query was used."""
        with self._lock:
            if cached_query in self._internal:
                self._internal[cached_query] = now_s
                return
            use = self._asked.setdefault(cached_query, _QueryUse(now_s))
            use.at_s, use.followed = now_s, followed or use.followed
            self._asked.move_to_end(cached_query)
            if len(self._asked) > _MOST_HOT:
                self._asked.popitem(last=False)

    def precompute(self, cached_query: CachedQuery[Any], now_s: float) -> None:
        """Precompute a query of the server itself: before those of clients, outside their budgets."""
        with self._lock:
            self._internal[cached_query] = now_s

    def is_internal(self, cached_query: CachedQuery[Any]) -> bool:
        """Whether the server itself asks this query."""
        with self._lock:
            return cached_query in self._internal

    def record_cost(self, cached_query: CachedQuery[Any], seconds: float) -> None:
        """Record the CPU seconds of an answer."""
        with self._lock:
            if (use := self._asked.get(cached_query)) is not None:
                use.took_s = seconds

    def fast_queries(self, now_s: float, left_s: float) -> list[CachedQuery[Any]]:
        """Queries to answer at each new as-of; those of clients within `left_s` CPU seconds."""
        return [*self._always, *self._used(now_s, left_s, slow=False, warm=False)]

    def slow_queries(self, now_s: float, left_s: float, *, warm: bool) -> list[CachedQuery[Any]]:
        """Slow queries to answer after these; `warm`: also those not used for some seconds."""
        return self._used(now_s, left_s, slow=True, warm=warm)

    def _used(self, now_s: float, left_s: float, *, slow: bool, warm: bool) -> list[CachedQuery[Any]]:
        def is_hot(query: CachedQuery[Any], at_s: float) -> bool:
            return bool(query.warm_s) is slow and at_s >= now_s - (query.warm_s if warm else STAYS_HOT_S)

        with self._lock:
            internal = [query for query, at_s in self._internal.items() if is_hot(query, at_s)]
            recent = [
                (query, use)
                for query, use in self._recent(now_s)
                if is_hot(query, use.at_s) and query not in self._always
            ]
        return [*internal, *_within_budget(recent, left_s)]

    def _recent(self, now_s: float) -> list[tuple[CachedQuery[Any], _QueryUse]]:
        for cached_query, use in list(self._asked.items()):
            if use.at_s < now_s - max(cached_query.warm_s, STAYS_HOT_S):
                del self._asked[cached_query]
        return list(self._asked.items())


def _within_budget(recent: Iterable[tuple[CachedQuery[Any], _QueryUse]], left_s: float) -> Iterator[CachedQuery[Any]]:
    """Subscribed queries first, then the cheapest, as many as fit into `left_s` CPU seconds."""
    by_cost = [(not use.followed, use.took_s, cached_query) for cached_query, use in recent if use.took_s is not None]
    for _, took_s, cached_query in sorted(by_cost, key=lambda entry: entry[:2]):
        if took_s <= left_s:
            left_s -= took_s
            yield cached_query
