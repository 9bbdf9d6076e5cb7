"""Questions as values: what may be asked again and again, and so may be answered ahead (`streams.view.precomputed`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, TypeVar

import msgspec

from streams.model.windows import Window
from streams.view.asking import Answer, Item, Question
from streams.view.promotion_scope import Asker
from streams.view.rolling import RollingView

T_co = TypeVar("T_co", covariant=True)
_encode = msgspec.json.Encoder().encode


class Ask(Protocol[T_co]):
    """Equal questions are one: hashable."""

    warm_s: ClassVar[float]
    """Of what takes so long that others are not to wait for it: seconds after it was asked last in which it is answered
    now and then, so that it takes less when it is asked again. Else 0."""

    @property
    def newest(self) -> bool:
        """Whether it is about the newest as-of, whichever that is."""

    async def make(self, view: RollingView, at_ms: int, as_of_ms: int | None) -> T_co:
        """The answer; `as_of_ms` is the newest as-of where the question names none, None: whichever it is by then."""


@dataclass(frozen=True, slots=True)
class Told:
    """An answer about KPIs, without what depends on the moment that it is given at."""

    answer: Answer
    """Its items left out."""
    fields: Mapping[str, msgspec.Raw]
    """What it holds beside `KpiFrame`, as JSON."""


@dataclass(frozen=True, slots=True)
class AboutKpis:
    """A question about KPIs."""

    question: Question
    warm_s: ClassVar[float] = 0

    @property
    def newest(self) -> bool:
        return self.question.as_of_ms is None

    def at(self, as_of_ms: int | None) -> Question:
        """The question, about this as-of where it names none."""
        named = self.question.as_of_ms
        return replace(self.question, as_of_ms=as_of_ms if named is None else named)


@dataclass(frozen=True, slots=True)
class OfOne(AboutKpis):
    """Every number of one value of a scope."""

    value: str

    async def make(self, view: RollingView, at_ms: int, as_of_ms: int | None) -> Told:
        answer = await view.one(self.at(as_of_ms), self.value, at_ms)
        return told(answer, value=self.value or None, values=answer.items[0].values)


@dataclass(frozen=True, slots=True)
class OfEach(AboutKpis):
    """Every number of each value of a scope."""

    async def make(self, view: RollingView, at_ms: int, as_of_ms: int | None) -> Told:
        answer = await Asker(view, at_ms).every(self.at(as_of_ms))
        return told(answer, count=answer.count, items=[item(held) for held in answer.items])


@dataclass(frozen=True, slots=True)
class Largest(AboutKpis):
    """The largest values of a scope, and the rest."""

    by: str
    limit: int

    async def make(self, view: RollingView, at_ms: int, as_of_ms: int | None) -> Told:
        found = await Asker(view, at_ms).top(self.at(as_of_ms), by=self.by, limit=self.limit)
        other = {"count": found.left_out, "values": found.other}
        return told(found.answer, by=self.by, items=[item(held) for held in found.answer.items], other=other)


ALWAYS = tuple(OfOne(Question(window), "") for window in Window)
"""What is answered ahead whether or not it was asked."""


def told(answer: Answer, **fields: Any) -> Told:
    """An answer and the fields that it is told with."""
    return Told(replace(answer, items=[]), {name: msgspec.Raw(_encode(content)) for name, content in fields.items()})


def item(held: Item) -> dict[str, Any]:
    """One item of a list."""
    return {"value": held.value, "values": held.values}
