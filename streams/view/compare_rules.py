"""Comparison: which earlier moment a moment is compared with, and by how much numbers differ. Pure.

Three clocks: the promotion's own (the same time since the start of its baseline), and the shop's wall clock a day or a
week before. On the wall clock the same local time is meant: where a clock change lies between, the moments are 23 or 25
hours (6 days and 23 hours, or 7 days and an hour) apart, so that a morning is compared with a morning, and window `day`
with as long a stretch of the other day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from consumers.contract.events import Promotion
from streams.model.kpis import Number
from streams.view.query import NotAnswerableError


class ComparisonPeriod(StrEnum):
    """What is compared with."""

    BASELINE = "baseline"
    """The promotion's baseline, at the same time since its start."""
    YESTERDAY = "yesterday"
    """The same local time of the day before."""
    LAST_WEEK = "last_week"
    """The same local time seven days before."""


_DAYS = {ComparisonPeriod.YESTERDAY: 1, ComparisonPeriod.LAST_WEEK: 7}


@dataclass(frozen=True, slots=True)
class PromotionPair:
    """A promotion, and the earlier one that it is compared with."""

    promotion: Promotion
    baseline: Promotion

    @property
    def offset_ms(self) -> int:
        """From a moment of the baseline to the same one of the promotion; whole seconds, as as-ofs are."""
        return 1000 * (self.promotion.starts_at // 1000 - self.baseline.starts_at // 1000)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How moments are compared."""

    against: ComparisonPeriod
    timezone: str
    """IANA name: the shop's."""
    pair: PromotionPair | None = None
    """Of comparison with a baseline."""

    def then_ms(self, at_ms: int) -> int:
        """The moment that a moment is compared with, epoch ms; always an earlier one."""
        if self.pair is not None:
            return at_ms - self.pair.offset_ms
        return days_before(at_ms, _DAYS[self.against], self.timezone)


@dataclass(frozen=True, slots=True)
class ComparedNumber:
    """How a number differs from what it is compared with."""

    difference: Number
    """Now less then; None where either is."""
    ratio: float | None
    """Now over then; None where either is, or over 0."""


def promotion_pair(promotion: Promotion | None, promotions: Mapping[str, Promotion], at_ms: int) -> PromotionPair:
    """A promotion and its baseline, at a moment of the promotion.

    Raises:
        NotAnswerableError: there is no promotion or no baseline, or they are not such that they can be compared.
    """
    if promotion is None:
        raise NotAnswerableError("there is no promotion, and so no baseline: compare with yesterday or last_week")
    name = promotion.promotion_id
    if promotion.starts_at > at_ms:
        raise NotAnswerableError(
            f"promotion {name!r} starts at {promotion.starts_at}, after the as-of {at_ms}: nothing to compare yet"
        )
    if promotion.baseline is None:
        with_one = sorted(one.promotion_id for one in promotions.values() if one.baseline is not None)
        raise NotAnswerableError(
            f"promotion {name!r} has no baseline: name one in its definition, or choose promotion= of "
            f"{', '.join(with_one) or 'another'}; or compare with yesterday or last_week"
        )
    baseline = promotions.get(promotion.baseline)
    if baseline is None:
        raise NotAnswerableError(
            f"the baseline {promotion.baseline!r} of promotion {name!r} is not in force: apply its definition again, "
            f"or name another; in force: {', '.join(sorted(promotions))}"
        )
    pair = PromotionPair(promotion, baseline)
    if pair.offset_ms <= 0:
        raise NotAnswerableError(
            f"the baseline {baseline.promotion_id!r} of promotion {name!r} does not start before it: name another"
        )
    return pair


def days_before(at_ms: int, days: int, timezone: str) -> int:
    """The same local time so many days before, epoch ms.

    A local time that a clock change left out is moved on by what was left out; of one that came twice, the first.

    >>> days_before(1_700_000_000_000, 1, "UTC") == 1_700_000_000_000 - 86_400_000
    True
    """
    zone = ZoneInfo(timezone)
    whole_s, rest_ms = divmod(at_ms, 1000)
    local = datetime.fromtimestamp(whole_s, zone)
    earlier = (local.replace(tzinfo=None, fold=0) - timedelta(days=days)).replace(tzinfo=zone)
    return int(earlier.astimezone(UTC).timestamp()) * 1000 + rest_ms


def differ(now: Number, then: Number) -> ComparedNumber:
    """How two numbers differ.

    >>> differ(6, 4)
    Difference(difference=2, ratio=1.5)
    >>> differ(6, 0), differ(None, 4)
    (Difference(difference=6, ratio=None), Difference(difference=None, ratio=None))
    """
    if now is None or then is None:
        return ComparedNumber(None, None)
    return ComparedNumber(now - then, now / then if then else None)


def differences(now: Mapping[str, Number], then: Mapping[str, Number]) -> dict[str, ComparedNumber]:
    """By name, how each of the numbers now differs; whatever names an answer holds."""
    return {name: differ(number, then.get(name)) for name, number in now.items()}
