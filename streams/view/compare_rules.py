"""Comparison: the earlier time that a time is compared with, and how two numbers differ. Pure.

There are three clocks: time since the start of the promotion (against its baseline), and the shop's local time one day
or seven days before. Local times are matched, so a morning is compared with a morning: across a clock change the
times are 23 or 25 hours apart, or 7 days and an hour more or less.
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
    """The time that is compared with."""

    BASELINE = "baseline"
    """The promotion's baseline, at the same time since its start."""
    YESTERDAY = "yesterday"
    """The same local time one day before."""
    LAST_WEEK = "last_week"
    """The same local time seven days before."""


_DAYS = {ComparisonPeriod.YESTERDAY: 1, ComparisonPeriod.LAST_WEEK: 7}


@dataclass(frozen=True, slots=True)
class PromotionPair:
    """A promotion and its baseline."""

    promotion: Promotion
    baseline: Promotion

    @property
    def offset_ms(self) -> int:
        """From a time of the baseline to the same elapsed time of the promotion; whole seconds, like as-ofs."""
        return 1000 * (self.promotion.starts_at // 1000 - self.baseline.starts_at // 1000)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How times are compared."""

    against: ComparisonPeriod
    timezone: str
    """IANA name, of the shop."""
    pair: PromotionPair | None = None
    """Set when comparing with a baseline."""

    def then_ms(self, at_ms: int) -> int:
        """The time that `at_ms` is compared with, epoch ms; always earlier."""
        if self.pair is not None:
            return at_ms - self.pair.offset_ms
        return days_before(at_ms, _DAYS[self.against], self.timezone)


@dataclass(frozen=True, slots=True)
class ComparedNumber:
    """The difference of two numbers."""

    difference: Number
    """Now minus then; None if either is None."""
    ratio: float | None
    """Now divided by then; None if either is None, or if `then` is 0."""


def promotion_pair(promotion: Promotion | None, promotions: Mapping[str, Promotion], at_ms: int) -> PromotionPair:
    """A promotion and its baseline, at a time of the promotion.

    Raises:
        NotAnswerableError: there is no promotion or baseline, or they cannot be compared.
    """
    if promotion is None:
        raise NotAnswerableError(
            "no promotion has started, so none has a baseline: compare with yesterday or last_week"
        )
    name = promotion.promotion_id
    if promotion.starts_at > at_ms:
        raise NotAnswerableError(
            f"promotion {name!r} starts at {promotion.starts_at}, after the as-of {at_ms}: nothing to compare yet"
        )
    if promotion.baseline is None:
        with_baseline = sorted(other.promotion_id for other in promotions.values() if other.baseline is not None)
        raise NotAnswerableError(
            f"promotion {name!r} has no baseline: name one in its definition, or choose promotion= of "
            f"{', '.join(with_baseline) or 'another'}; or compare with yesterday or last_week"
        )
    baseline = promotions.get(promotion.baseline)
    if baseline is None:
        raise NotAnswerableError(
            f"the baseline {promotion.baseline!r} of promotion {name!r} is not in force: apply its definition again, "
            f"or name another of {', '.join(sorted(promotions))}"
        )
    pair = PromotionPair(promotion, baseline)
    if pair.offset_ms <= 0:
        raise NotAnswerableError(
            f"the baseline {baseline.promotion_id!r} of promotion {name!r} does not start before it: name another"
        )
    return pair


def days_before(at_ms: int, days: int, timezone: str) -> int:
    """The same local time a number of days before, epoch ms.

    A local time skipped by a clock change is shifted by the change; of a repeated one, the first is taken.

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
    ComparedNumber(difference=2, ratio=1.5)
    >>> differ(6, 0), differ(None, 4)
    (ComparedNumber(difference=6, ratio=None), ComparedNumber(difference=None, ratio=None))
    """
    if now is None or then is None:
        return ComparedNumber(None, None)
    return ComparedNumber(now - then, now / then if then else None)


def differences(now: Mapping[str, Number], then: Mapping[str, Number]) -> dict[str, ComparedNumber]:
    """The difference of each number, by name."""
    return {name: differ(number, then.get(name)) for name, number in now.items()}
