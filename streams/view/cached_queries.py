"""Queries as hashable values, so that their answers can be precomputed (`streams.view.precomputed`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, TypeVar

import msgspec

from streams.model.windows import Window
from streams.view.query import Answer, KpiQuery
from streams.view.rolling import RollingView, ScopeQueries

T_co = TypeVar("T_co", covariant=True)
_encode = msgspec.json.Encoder().encode


class CachedQuery(Protocol[T_co]):
    """A query whose answer can be cached. Equal queries share an answer."""

    warm_s: ClassVar[float]
    """For a slow query: seconds after its last use during which it is recomputed from time to time, so that its next
    answer is fast. 0 for a fast one."""

    @property
    def newest(self) -> bool:
        """Whether it asks for the newest as-of."""

    async def compute(self, view: RollingView, at_ms: int, as_of_ms: int | None) -> T_co:
        """The answer. `as_of_ms`: the newest as-of, for a query that names none; None: the newest when it is
        computed."""


@dataclass(frozen=True, slots=True)
class EncodedAnswer:
    """An answer about KPIs without the fields that depend on the time of the response."""

    answer: Answer
    """Without its items."""
    fields: Mapping[str, msgspec.Raw]
    """Fields of the answer beyond `KpiFrame`, as JSON."""


@dataclass(frozen=True, slots=True)
class CachedKpiQuery:
    """A query for KPIs."""

    query: KpiQuery
    warm_s: ClassVar[float] = 0

    @property
    def newest(self) -> bool:
        """Whether it asks for the newest as-of."""
        return self.query.as_of_ms is None

    def at(self, as_of_ms: int | None) -> KpiQuery:
        """The query at this as-of, unless it names one."""
        named = self.query.as_of_ms
        return replace(self.query, as_of_ms=as_of_ms if named is None else named)


@dataclass(frozen=True, slots=True)
class OneValueQuery(CachedKpiQuery):
    """All KPIs of one value of a scope."""

    value: str

    async def compute(self, view: RollingView, at_ms: int, as_of_ms: int | None) -> EncodedAnswer:
        """The answer, encoded."""
        answer = await view.one(self.at(as_of_ms), self.value, at_ms)
        return encode_answer(answer, value=self.value or None, values=answer.items[0].values)


@dataclass(frozen=True, slots=True)
class EachValueQuery(CachedKpiQuery):
    """All KPIs of each value of a scope."""

    async def compute(self, view: RollingView, at_ms: int, as_of_ms: int | None) -> EncodedAnswer:
        """The answer, encoded."""
        answer = await ScopeQueries(view, at_ms).every(self.at(as_of_ms))
        return encode_answer(answer, count=answer.count, items=answer.items)


@dataclass(frozen=True, slots=True)
class TopQuery(CachedKpiQuery):
    """The largest values of a scope, and the rest."""

    by: str
    limit: int

    async def compute(self, view: RollingView, at_ms: int, as_of_ms: int | None) -> EncodedAnswer:
        """The answer, encoded."""
        top = await ScopeQueries(view, at_ms).top(self.at(as_of_ms), by=self.by, limit=self.limit)
        other = {"count": top.left_out, "values": top.other}
        return encode_answer(top.answer, by=self.by, items=top.answer.items, other=other)


ALWAYS_HOT = tuple(OneValueQuery(KpiQuery(window), "") for window in Window)
"""Queries that are always precomputed."""


def encode_answer(answer: Answer, **fields: object) -> EncodedAnswer:
    """An answer and its own fields, as JSON."""
    return EncodedAnswer(
        replace(answer, items=[]), {name: msgspec.Raw(_encode(content)) for name, content in fields.items()}
    )
