"""A promotion's progress: whether it runs, its phase, and its elapsed share. Periods are half-open."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from consumers.contract.events import Phase, Promotion


class RunState(StrEnum):
    """State of a promotion at a time."""

    UPCOMING = "upcoming"
    RUNNING = "running"
    ENDED = "ended"


class Period(Protocol):
    """`[starts_at, ends_at)`, epoch ms: a promotion or one of its phases."""

    @property
    def starts_at(self) -> int: ...
    @property
    def ends_at(self) -> int: ...


@dataclass(frozen=True, slots=True)
class PromotionProgress:
    """A promotion at a time."""

    state: RunState
    phase: Phase | None
    """The current phase; None between phases, before and after them."""
    next: Phase | None
    """The next phase."""
    elapsed_ms: int
    """Since its start; 0 before it, its whole length after it."""
    elapsed_fraction: float
    """`elapsed_ms` as a share of its length, 0 to 1."""


def promotion_progress(promotion: Promotion, at_ms: int) -> PromotionProgress:
    """The progress of a promotion at a time."""
    return PromotionProgress(
        run_state(promotion, at_ms),
        phase_at(promotion, at_ms),
        next_phase(promotion, at_ms),
        elapsed_ms(promotion, at_ms),
        elapsed_fraction(promotion, at_ms),
    )


def run_state(period: Period, at_ms: int) -> RunState:
    """The state of a period at a time."""
    if at_ms < period.starts_at:
        return RunState.UPCOMING
    return RunState.RUNNING if at_ms < period.ends_at else RunState.ENDED


def phase_at(promotion: Promotion, at_ms: int) -> Phase | None:
    """The phase at a time. Of overlapping phases, the one that began last, then the one that ends first."""
    running = [phase for phase in promotion.phases or () if phase.starts_at <= at_ms < phase.ends_at]
    return min(running, key=lambda phase: (-phase.starts_at, phase.ends_at, phase.name), default=None)


def next_phase(promotion: Promotion, at_ms: int) -> Phase | None:
    """The first phase that begins after a time."""
    later = [phase for phase in promotion.phases or () if phase.starts_at > at_ms]
    return min(later, key=lambda phase: (phase.starts_at, phase.ends_at, phase.name), default=None)


def elapsed_ms(period: Period, at_ms: int) -> int:
    """Elapsed time of a period: 0 before it begins, its length after it has ended."""
    return min(max(at_ms, period.starts_at), period.ends_at) - period.starts_at


def elapsed_fraction(period: Period, at_ms: int) -> float:
    """Elapsed share of a period, 0 to 1.

    >>> elapsed_fraction(Phase(name="opening", starts_at=1000, ends_at=5000), 2000)
    0.25
    """
    return elapsed_ms(period, at_ms) / (period.ends_at - period.starts_at)
