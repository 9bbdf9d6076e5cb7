"""Whether one breach explains another, so that both are one incident.

A cause explains an effect if all of this holds:

- **Same family**: both rules have the same `incident`, or the cause's rule lists that of the effect in `causes`.
- **Same or later stage** of the funnel: views, carts, checkouts, orders, payments.
- **In time**: the effect begins no more than two minutes before the cause, and no later than two minutes and twice its
  rule's lag after it.
- **Accounted for**: the effect is no larger than the cause makes it. In the same value, or a part of it, its fall is at
  most 1.5 times that of the cause. Across dimensions (a region, a channel) the cause's loss is taken to be spread
  evenly: the fall is at most 1.5 times the cause's share of the shop's revenue. A part explains the whole shop if the
  whole loses at most 1.5 times as much, and what is outside the part has hardly fallen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from alerts.correlation.extents import Extent, Stages, stages_of
from alerts.findings import Labels
from alerts.rules.detect import SequentialDetector
from alerts.rules.rule import Rule, RuleScope

ONSET_TOLERANCE_MS = 120_000
"""Error of estimated starts."""
PART_ONSET_TOLERANCE_MS = 2 * ONSET_TOLERANCE_MS
"""The same for parts of the shop beside a data fault: they have fewer events."""
_FOUND_BEFORE_MS = 30_000
"""What was found so long before a breach in another dimension began is not its effect."""
_TOGETHER_MS = 60_000
"""Parts of a shop-wide fall begin within this time."""
LOSS_RATIO = 1.5
"""How much larger than expected an effect may be."""
STILL_RATIO = 2.0
"""The same for an effect that was explained at the last evaluation."""
_ERRORS = 3.0
"""Standard errors by which the loss of the whole may be larger."""
_ALIKE = 2.0
"""Maximum ratio of the falls of parts that fall together."""
_REST = 0.5
"""Maximum fall outside a part, relative to that in it, if the part explains the whole."""


@dataclass(frozen=True, slots=True)
class Effect:
    """A breach as the rule and its extent."""

    rule: Rule
    extent: Extent
    incident_key: str

    @property
    def labels(self) -> Labels:
        """Labels of the series."""
        return self.extent.series.labels

    @property
    def stages(self) -> Stages | None:
        """Stages of the rule."""
        return stages_of(self.rule)


class Relation(Enum):
    """How the value of an effect relates to that of its cause."""

    SAME = auto()
    IN_WHOLE = auto()
    """The cause is the whole shop, the effect a part."""
    OF_PART = auto()
    """The cause is a part, the effect the whole shop."""
    SIBLING = auto()
    """Different values of the same dimensions."""
    ACROSS = auto()
    """Values of different dimensions."""


def relation(cause: Labels, effect: Labels) -> Relation:
    """Return how the effect's value relates to the cause's."""
    if cause == effect:
        return Relation.SAME
    if not cause:
        return Relation.IN_WHOLE
    if not effect:
        return Relation.OF_PART
    return Relation.SIBLING if [name for name, _ in cause] == [name for name, _ in effect] else Relation.ACROSS


def explains(cause: Effect, effect: Effect, ratio: float = LOSS_RATIO) -> bool:
    """Whether the cause explains the effect."""
    if effect.incident_key in cause.rule.causes:
        return effect.extent.since_ms >= cause.extent.since_ms - ONSET_TOLERANCE_MS
    return can_cause(cause, effect) and _accounts_for(cause, effect, ratio)


def explain_together(causes: Sequence[Effect], effect: Effect) -> Effect | None:
    """Return the largest of several causes if their losses together explain the effect."""
    possible = [
        cause
        for cause in causes
        if cause.extent.loss is not None
        and can_cause(cause, effect)
        and relation(cause.labels, effect.labels) in (Relation.OF_PART, Relation.ACROSS)
    ]
    fall = effect.extent.fall if effect.labels else effect.extent.loss
    if len(possible) < 2 or fall is None:
        return None
    loss = sum(cause.extent.loss or 0.0 for cause in possible)
    if fall > LOSS_RATIO * loss + _ERRORS * effect.extent.noise:
        return None
    return max(possible, key=lambda cause: cause.extent.loss or 0.0)


def fall_together(one: Effect, other: Effect) -> bool:
    """Whether two parts of a watched whole fall so much alike that the whole shop may have fallen."""
    a, b = one.extent, other.extent
    related = relation(one.labels, other.labels) in (Relation.SIBLING, Relation.ACROSS)
    of_a_whole = RuleScope.ALL in one.rule.for_each and RuleScope.ALL in other.rule.for_each
    if not (related and of_a_whole and one.rule.incident and one.incident_key == other.incident_key):
        return False
    if abs(a.since_ms - b.since_ms) > _TOGETHER_MS:
        return False
    if a.fall is None or b.fall is None:
        return True
    noise = _ERRORS * (a.noise + b.noise)
    return a.fall <= _ALIKE * b.fall + noise and b.fall <= _ALIKE * a.fall + noise


def falls_further(one: Effect, other: Effect) -> bool:
    """Whether one fall is larger than the other would explain."""
    return not _is_within(one.extent, other.extent.size, LOSS_RATIO)


def can_cause(cause: Effect, effect: Effect) -> bool:
    """Whether family, stage and time allow that the cause explains the effect."""
    if cause.incident_key != effect.incident_key:
        return False
    a, b = cause.extent, effect.extent
    if relation(cause.labels, effect.labels) is Relation.ACROSS and 0 < b.first_ms < a.since_ms - _FOUND_BEFORE_MS:
        return False
    earlier, later = cause.stages, effect.stages
    if earlier is not None and later is not None and earlier.first > later.last:
        return False
    lag_ms = round(2000 * effect.rule.detect.lag) if isinstance(effect.rule.detect, SequentialDetector) else 0
    same_events = earlier is None or later is None or earlier.overlap(later)
    latest_ms = (a.last_ms if same_events else a.since_ms) + lag_ms + ONSET_TOLERANCE_MS
    return a.since_ms - ONSET_TOLERANCE_MS <= b.since_ms <= latest_ms


def loss_from(cause: Effect, effect: Effect) -> float:
    """Share of the effect's events that the cause loses, if its loss is spread evenly; 0: unknown, or another value."""
    match relation(cause.labels, effect.labels):
        case Relation.SIBLING:
            return 0.0
        case Relation.SAME | Relation.IN_WHOLE:
            return cause.extent.size or 0.0
        case _:
            return cause.extent.loss or 0.0


def _accounts_for(cause: Effect, effect: Effect, ratio: float) -> bool:
    a, b = cause.extent, effect.extent
    match relation(cause.labels, effect.labels):
        case Relation.SAME:
            return _is_within(b, a.size, ratio)
        case Relation.IN_WHOLE:
            return not _is_named_part(b, a) and _is_within(b, a.size, ratio)
        case Relation.ACROSS:
            return _is_within(b, a.loss, ratio)
        case Relation.OF_PART:
            return _is_named_part(a, b) or _is_loss_of_part(a, b, ratio)
        case Relation.SIBLING:
            return False


def _is_within(effect: Extent, size: float | None, ratio: float) -> bool:
    return size is None or not effect.exceeds(ratio * size)


def _is_named_part(part: Extent, whole: Extent) -> bool:
    """Whether the rule itself found that the part explains the whole. In the first seconds this may be chance: then the
    part has fallen less far than the whole, or lost too little."""
    if whole.part != part.series.labels:
        return False
    if part.fall is None or whole.fall is None:
        return True
    loss = part.fall if part.loss is None else part.loss
    return part.fall >= whole.fall - whole.noise and whole.fall <= STILL_RATIO * loss + _ERRORS * whole.noise


def _is_loss_of_part(part: Extent, whole: Extent, ratio: float) -> bool:
    """Whether most of the whole's loss is in the part."""
    if part.loss is None or whole.loss is None:
        return False
    if whole.loss > ratio * part.loss + _ERRORS * whole.noise:
        return False
    if not part.fall:
        return True
    share = min(part.loss / part.fall, 0.99)
    rest = (whole.loss - part.loss) / (1 - share)
    return rest <= _REST * part.fall + whole.noise
