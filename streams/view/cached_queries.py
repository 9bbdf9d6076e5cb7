"""Questions as values: what may be asked again and again, and so may be answered ahead (`streams.view.precomputed`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, TypeVar

import msgspec

from streams.model.windows import Window
from streams.view.query import Answer, Item, KpiQuery
from streams.view.rolling import RollingView
from streams.view.scope_queries import ScopeQueries

T_co = TypeVar("T_co", covariant=True)
_encode = msgspec.json.Encoder().encode


class CachedQuery(Protocol[T_co]):
    """Equal questions are one: hashable."""

    warm_s: ClassVar[float]
    """Of what takes so long that others are not to wait for it: seconds after it was asked last in which it is answered
    now and then, so that it takes less when it is asked again. Else 0."""

    @property
    def newest(self) -> bool:
        """Whether it is about the newest as-of, whichever that is."""

    async def compute(self, view: RollingView, at_ms: int, as_of_ms: int | None) -> T_co:
        """The answer; `as_of_ms` is the newest as-of where the question names none, None: whichever it is by then."""


@dataclass(frozen=True, slots=True)
class EncodedAnswer:
    """An answer about KPIs, without what depends on the moment that it is given at."""

    answer: Answer
    """Its items left out."""
    fields: Mapping[str, msgspec.Raw]
    """What it holds beside `KpiFrame`, as JSON."""


@dataclass(frozen=True, slots=True)
class CachedKpiQuery:
    """A question about KPIs."""

    query: KpiQuery
    warm_s: ClassVar[float] = 0

    @property
    def newest(self) -> bool:
        return self.query.as_of_ms is None

    def at(self, as_of_ms: int | None) -> KpiQuery:
        """The question, about this as-of where it names none."""
        named = self.query.as_of_ms
        return replace(self.query, as_of_ms=as_of_ms if named is None else named)


@dataclass(frozen=True, slots=True)
class OneValueQuery(CachedKpiQuery):
    """Every number of one value of a scope."""

    value: str

    async def compute(self, view: RollingView, at_ms: int, as_of_ms: int | None) -> EncodedAnswer:
        answer = await view.one(self.at(as_of_ms), self.value, at_ms)
        return encode_answer(answer, value=self.value or None, values=answer.items[0].values)


@dataclass(frozen=True, slots=True)
class EachValueQuery(CachedKpiQuery):
    """Every number of each value of a scope."""

    async def compute(self, view: RollingView, at_ms: int, as_of_ms: int | None) -> EncodedAnswer:
        answer = await ScopeQueries(view, at_ms).every(self.at(as_of_ms))
        return encode_answer(answer, count=answer.count, items=[item_fields(held) for held in answer.items])


@dataclass(frozen=True, slots=True)
class TopQuery(CachedKpiQuery):
    """The largest values of a scope, and the rest."""

    by: str
    limit: int

    async def compute(self, view: RollingView, at_ms: int, as_of_ms: int | None) -> EncodedAnswer:
        found = await ScopeQueries(view, at_ms).top(self.at(as_of_ms), by=self.by, limit=self.limit)
        other = {"count": found.left_out, "values": found.other}
        return encode_answer(
            found.answer, by=self.by, items=[item_fields(held) for held in found.answer.items], other=other
        )


ALWAYS_HOT = tuple(OneValueQuery(KpiQuery(window), "") for window in Window)
"""What is answered ahead whether or not it was asked."""


def encode_answer(answer: Answer, **fields: Any) -> EncodedAnswer:
    """An answer and the fields that it is told with."""
    return EncodedAnswer(
        replace(answer, items=[]), {name: msgspec.Raw(_encode(content)) for name, content in fields.items()}
    )


def item_fields(held: Item) -> dict[str, Any]:
    """One item of a list."""
    return {"value": held.value, "values": held.values}
