"""Selects promotions: the current one, the one that a query names, and their baselines."""

from __future__ import annotations

from collections.abc import Mapping

from consumers.contract.events import Promotion
from streams.model.kpis import target_sum
from streams.model.windows import PromotionSpan

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
    found = current_promotion(promotions, as_of_ms)
    return None if found is None else found.promotion_id


def promotion_span(promotion: Promotion) -> PromotionSpan:
    """The time span of a promotion."""
    return PromotionSpan(promotion.starts_at, promotion.ends_at)


def target_sums(promotion: Promotion) -> dict[str, int]:
    """Its targets by the names that formulas use; empty without targets."""
    return {} if promotion.targets is None else {target_sum(tier): amount for tier, amount in promotion.targets}


def baseline_chain(promotion: Promotion, known: Mapping[str, Promotion]) -> list[Promotion]:
    """Its baseline, that one's baseline and so on, as far as known and ended before the next began."""
    found: list[Promotion] = []
    last = promotion
    while len(found) < MAX_BASELINES and last.baseline is not None:
        earlier = known.get(last.baseline)
        if earlier is None or earlier.ends_at > last.starts_at:
            break
        found.append(earlier)
        last = earlier
    return found
