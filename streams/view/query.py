"""Queries to the view, and their answers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from consumers.errors import SalepulseError
from streams.dictionary.names import ALL
from streams.model.kpis import Number
from streams.model.windows import Window


class NotAnswerableError(SalepulseError):
    """The query is invalid, or needs expired panes; the message lists what can be queried."""


class NotReadyError(SalepulseError):
    """There is no as-of yet."""

    def __init__(self, why: str) -> None:
        super().__init__(why, retriable=True)


@dataclass(frozen=True, slots=True)
class KpiQuery:
    """A window of a scope at an as-of."""

    window: Window
    scope: str = ALL
    as_of_ms: int | None = None
    """Epoch ms; None: the newest."""
    promotion: str | None = None
    """The promotion covered by window `promotion`; None: the scope's value, or the promotion that started last."""
    only: frozenset[str] | None = None
    """KPIs and distinct counts to compute; others may be missing or None. None: all."""

    def wants(self, names: Collection[str]) -> bool:
        """Whether any of these is to be computed."""
        return self.only is None or not self.only.isdisjoint(names)


@dataclass(frozen=True, slots=True)
class Item:
    """The numbers of one value of a scope."""

    value: str
    values: dict[str, Number]


@dataclass(frozen=True, slots=True)
class Answer:
    """The numbers of values at one as-of."""

    as_of_ms: int
    window: Window
    scope: str
    promotion: str | None
    """The promotion covered by window `promotion`; None in other windows."""
    items: list[Item]
    count: int | None = None
    """How many values exist, where all were queried; `items` may be only the first. None: `items` are all."""


@dataclass(frozen=True, slots=True)
class Top:
    """The largest values of a scope, and the rest."""

    answer: Answer
    """The largest values, in order."""
    left_out: int
    """Number of values in the rest."""
    other: dict[str, Number]
    """KPIs of the rest's summed counters; distinct counts and KPIs that read them are None."""
