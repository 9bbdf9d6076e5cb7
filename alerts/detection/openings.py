"""What a promotion's clock says of a rule: visitors wait for an opening, and hurry after it."""

from __future__ import annotations

from alerts.detection.inputs import DetectionInputs
from alerts.rules.detect import Direction, SequentialDetector
from alerts.statistics.steps import OpeningEffects

_BROWSING = frozenset({"page_views", "product_views", "cart_adds"})
_AROUND_OPENING_MS = 3_600_000
"""So long before an opening, carts wait for it; so long after it, traffic is no reference."""
_JUMP_MS = 300_000
"""So long after an opening, delays of what follows are not certain: a drop must be a loss, too."""
_HURRY_MS = 5_400_000
"""So long after an opening, delays may return to their usual length at once."""


def opening_effects(inputs: DetectionInputs, detect: SequentialDetector) -> OpeningEffects:
    """The effects of the nearest start of a promotion or phase."""
    to_opening_ms = _to_opening_ms(inputs)
    before, after = 0 < to_opening_ms <= _AROUND_OPENING_MS, 0 <= -to_opening_ms <= _AROUND_OPENING_MS
    is_browsing = bool(_BROWSING & {*detect.count, *detect.per})
    return OpeningEffects(
        may_alarm=not (before and is_browsing and detect.direction is Direction.DROP),
        is_around=is_browsing and (before or after),
        is_after=0 <= -to_opening_ms <= _HURRY_MS,
        needs_loss=is_browsing or not after or -to_opening_ms < _JUMP_MS,
    )


def _to_opening_ms(inputs: DetectionInputs) -> float:
    """Time to the nearest start of a promotion or phase; below 0: since then; infinite: there is none."""
    starts = set()
    for promotion in inputs.promotions.values():
        starts |= {promotion.starts_at, *(phase.starts_at for phase in promotion.phases or ())}
    return min((start_ms - inputs.as_of_ms for start_ms in starts), key=abs, default=float("inf"))
