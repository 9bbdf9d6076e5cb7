"""Promotions: the current one, the one that a query names, baselines, and progress at a time. Periods are half-open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from consumers.contract.events import Phase, Promotion
from streams.model.kpis import target_sum

MAX_BASELINES = 5
"""Maximum number of earlier promotions in a baseline chain."""


def current_promotion(promotions: Mapping[str, Promotion], as_of_ms: int) -> Promotion | None:
    """The promotion that started last; before any has started, the next one; None if there are none.

    Of several that start at the same time, the smallest id, so that the answer does not depend on read order.
    """
    ordered = sorted(promotions.values(), key=lambda promotion: promotion.promotion_id)
    started = [promotion for promotion in ordered if promotion.starts_at <= as_of_ms]
    if started:
        return max(started, key=lambda promotion: promotion.starts_at)
    return min(ordered, key=lambda promotion: promotion.starts_at, default=None)


def promotion_or_current(promotions: Mapping[str, Promotion], name: str | None, as_of_ms: int) -> str | None:
    """The promotion that a query names, else the current one."""
    if name is not None:
        return name
    current = current_promotion(promotions, as_of_ms)
    return None if current is None else current.promotion_id


def target_sums(promotion: Promotion) -> dict[str, int]:
    """# <name of the sum in formulas: target of a promotion, minor units>; empty without targets"""
    return {} if promotion.targets is None else {target_sum(tier): amount for tier, amount in promotion.targets}


def baseline_chain(promotion: Promotion, known: Mapping[str, Promotion]) -> list[Promotion]:
    """A promotion's baseline, the baseline of that, and so on, as far as known and ended before the next began."""
    chain: list[Promotion] = []
    last = promotion
    while len(chain) < MAX_BASELINES and last.baseline is not None:
        earlier = known.get(last.baseline)
        if earlier is None or earlier.ends_at > last.starts_at:
            break
        chain.append(earlier)
        last = earlier
    return chain


class RunState(StrEnum):
    """State of a promotion at a time."""

    UPCOMING = "upcoming"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class PromotionProgress:
    """A promotion at a time."""

    state: RunState
    phase: Phase | None
    """The current phase; None between phases, before and after them."""
    next: Phase | None
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


def run_state(period: Promotion | Phase, at_ms: int) -> RunState:
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


def elapsed_ms(period: Promotion | Phase, at_ms: int) -> int:
    """Elapsed time of a period: 0 before it begins, its length after it has ended."""
    return min(max(at_ms, period.starts_at), period.ends_at) - period.starts_at


def elapsed_fraction(period: Promotion | Phase, at_ms: int) -> float:
    """Elapsed share of a period, 0 to 1.

    >>> elapsed_fraction(Phase(name="opening", starts_at=1000, ends_at=5000), 2000)
    0.25
    """
    return elapsed_ms(period, at_ms) / (period.ends_at - period.starts_at)
