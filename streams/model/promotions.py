"""Which promotion is meant: definitions as they are in force, and the one that a question without a name is about."""

from __future__ import annotations

from collections.abc import Mapping

from consumers.contract.events import Promotion
from streams.model.kpis import target_sum
from streams.model.windows import PromotionSpan

MAX_BASELINES = 5
"""So many earlier promotions are gone by, at most: those further back say little of the present."""


def current_promotion(promotions: Mapping[str, Promotion], as_of_ms: int) -> Promotion | None:
    """The promotion that started last; before any has started, the next one; None where there are none.

    Of several that start at one moment, the least id: the answer must not depend on the order in which they were read.
    """
    ordered = sorted(promotions.values(), key=lambda promotion: promotion.promotion_id)
    started = [promotion for promotion in ordered if promotion.starts_at <= as_of_ms]
    if started:
        return max(started, key=lambda promotion: promotion.starts_at)
    return min(ordered, key=lambda promotion: promotion.starts_at, default=None)


def promotion_or_current(promotions: Mapping[str, Promotion], name: str | None, as_of_ms: int) -> str | None:
    """The promotion that a question names, else the current one."""
    if name is not None:
        return name
    found = current_promotion(promotions, as_of_ms)
    return None if found is None else found.promotion_id


def promotion_span(promotion: Promotion) -> PromotionSpan:
    """When a promotion runs."""
    return PromotionSpan(promotion.starts_at, promotion.ends_at)


def target_sums(promotion: Promotion) -> dict[str, int]:
    """Its targets, as formulas find them among the sums of its row; empty without targets."""
    return {} if promotion.targets is None else {target_sum(tier): amount for tier, amount in promotion.targets}


def baseline_chain(promotion: Promotion, known: Mapping[str, Promotion]) -> list[Promotion]:
    """Its baseline, the baseline of that and so on, as far as they are known and ended before the next began."""
    found: list[Promotion] = []
    last = promotion
    while len(found) < MAX_BASELINES and last.baseline is not None:
        earlier = known.get(last.baseline)
        if earlier is None or earlier.ends_at > last.starts_at:
            break
        found.append(earlier)
        last = earlier
    return found
