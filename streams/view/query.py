"""What can be asked of the view, and what it answers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from consumers.errors import SalepulseError
from streams.model.kpis import Number
from streams.model.windows import Window
from streams.panes.scopes import Scope


class NotAnswerableError(SalepulseError):
    """The question makes no sense, or is about a moment that is not kept; the message says what can be asked."""


class NotReadyError(SalepulseError):
    """There is no as-of yet."""

    def __init__(self, why: str) -> None:
        super().__init__(why, retriable=True)


@dataclass(frozen=True, slots=True)
class KpiQuery:
    """Which window, cut by which scope, at which moment."""

    window: Window
    scope: Scope = Scope.ALL
    as_of_ms: int | None = None
    """Epoch ms; None: the newest."""
    promotion: str | None = None
    """Whose time window `promotion` means; None: the scope's value, else the one that started last."""
    only: frozenset[str] | None = None
    """The KPIs and distinct counts that are wanted; others may be missing in the answer, or None. None: all of them."""

    def wants(self, names: Collection[str]) -> bool:
        """Whether any of these is wanted."""
        return self.only is None or not self.only.isdisjoint(names)


@dataclass(frozen=True, slots=True)
class Item:
    """One value of a scope, and its numbers by name."""

    value: str
    values: dict[str, Number]


@dataclass(frozen=True, slots=True)
class Answer:
    """Numbers at one as-of."""

    as_of_ms: int
    window: Window
    scope: Scope
    promotion: str | None
    """The promotion whose time window `promotion` covered; None in other windows."""
    items: list[Item]
    count: int | None = None
    """How many values there are, where all were asked for: items are the first of them. None: they are all."""


@dataclass(frozen=True, slots=True)
class Top:
    """The largest values of a scope, and all others together."""

    answer: Answer
    """The largest first."""
    left_out: int
    """How many values the others are."""
    other: dict[str, Number]
    """Their numbers: KPIs of their summed counters; distinct counts, and what is made of them, are None."""
