"""Differences between two definitions of a promotion, by field."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from consumers.contract.events import Phase, Promotion
from consumers.times import format_local_time

FieldValue: TypeAlias = str | int | None
TIMES = ("starts_at", "ends_at")
_EXAMPLES = 3


class PromotionOutcome(StrEnum):
    """The result for one promotion."""

    ADDED = "added"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    """The definition already applies: nothing was written."""
    DELETED = "deleted"
    ABSENT = "absent"
    """It was to be deleted and did not exist."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A changed field. For `skus`, before and after are counts."""

    field: str
    """Nested names are dotted: `targets.base`, `phases.opening.ends_at`."""
    before: FieldValue
    after: FieldValue
    note: str = ""
    """Details beyond before and after."""

    def text(self, timezone: str) -> str:
        """The change as text, with times in the promotion's time zone."""
        is_time = self.field.rpartition(".")[2] in TIMES
        before, after = (_shown(given, timezone if is_time else None) for given in (self.before, self.after))
        return f"{self.field} {before} → {after}" + (f" ({self.note})" if self.note else "")


def field_changes(before: Promotion, after: Promotion) -> list[FieldChange]:
    """The changed fields, in the order of the contract; the order of SKUs does not matter."""
    return list(_changes(before, after))


def _changes(before: Promotion, after: Promotion) -> Iterator[FieldChange]:
    for name in ("name", *TIMES, "timezone"):
        yield from _differ(name, getattr(before, name), getattr(after, name))
    yield from _phases(before.phases or (), after.phases or ())
    old, new = _plain(before.targets), _plain(after.targets)
    for tier in dict.fromkeys([*old, *new]):
        yield from _differ(f"targets.{tier}", old.get(tier), new.get(tier))
    yield from _skus(before.skus, after.skus)
    yield from _differ("baseline", before.baseline, after.baseline)


def _differ(name: str, before: FieldValue, after: FieldValue) -> Iterator[FieldChange]:
    if before != after:
        yield FieldChange(name, before, after)


def _phases(before: tuple[Phase, ...], after: tuple[Phase, ...]) -> Iterator[FieldChange]:
    """Match phases by name, or by position if names repeat."""
    old, new = _by_name(before), _by_name(after)
    for name in dict.fromkeys([*old, *new]):
        for field in ("name", *TIMES):
            was, is_ = (None if phase is None else getattr(phase, field) for phase in (old.get(name), new.get(name)))
            yield from _differ(f"phases.{name}.{field}", was, is_)


def _by_name(phases: tuple[Phase, ...]) -> dict[str, Phase]:
    names = [phase.name for phase in phases]
    has_duplicates = len(set(names)) < len(names)
    return {str(i) if has_duplicates else phase.name: phase for i, phase in enumerate(phases)}


def _skus(before: tuple[str, ...] | None, after: tuple[str, ...] | None) -> Iterator[FieldChange]:
    old, new = dict.fromkeys(before or ()), dict.fromkeys(after or ())
    added, removed = [sku for sku in new if sku not in old], [sku for sku in old if sku not in new]
    if added or removed:
        yield FieldChange("skus", len(old), len(new), ", ".join([*_listed("+", added), *_listed("−", removed)]))


def _listed(sign: str, skus: list[str]) -> list[str]:
    shown = [f"{sign}{sku}" for sku in skus[:_EXAMPLES]]
    return [*shown, f"{sign}{len(skus) - _EXAMPLES} more"] if len(skus) > _EXAMPLES else shown


def _plain(targets: Any) -> dict[str, int]:
    return {} if targets is None else dict(targets)


def _shown(given: FieldValue, timezone: str | None) -> str:
    if given is None:
        return "none"
    if timezone is not None and isinstance(given, int):
        return format_local_time(given, timezone)
    return f"{given:,}" if isinstance(given, int) else given
