"""When, where and how much a breach is, and which stages of the funnel its rule compares."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from alerts.detection.detector import Breach, RevenueRate
from alerts.findings import FindingReason, Labels, Series
from alerts.rules.detect import Direction, SequentialDetector, SilenceDetector
from alerts.rules.rule import Rule

FUNNEL = {
    "page_views": 0,
    "product_views": 0,
    "cart_adds": 1,
    "checkouts": 2,
    "orders_created": 3,
    "orders_paid": 4,
    "payments_failed": 4,
}
"""# counter: its stage on the way to a paid order"""
_FADES_MS = 120_000
"""Half-life of the largest fall and loss: rules with long lags recover later than the cause."""


_ERRORS = 4.0
"""Standard errors by which a fall must be larger: the start of a breach is chosen where the fall seems largest."""


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages in which the cause of a breach may be, both inclusive."""

    first: int
    last: int

    def overlap(self, other: Stages) -> bool:
        """Whether some stage is in both."""
        return self.first <= other.last and other.first <= self.last


def stages_of(rule: Rule) -> Stages | None:
    """The stages between what the rule counts and what it compares this with; None: not of the funnel.

    A silence may have its cause in any earlier stage.
    """
    match rule.detect:
        case SequentialDetector(count=count, per=per, direction=direction):
            last, before = _last_stage(count), _last_stage(per)
            if last is None or before is None or (direction is Direction.RISE and "payments_failed" not in count):
                return None
            return Stages(min(before + 1, last), last)
        case SilenceDetector(count=count):
            last = _last_stage(count)
            return None if last is None else Stages(0, last)
        case _:
            return None


def _last_stage(counters: Iterable[str]) -> int | None:
    return max((FUNNEL[name] for name in counters if name in FUNNEL), default=None)


@dataclass(frozen=True, slots=True)
class Extent:
    """When, where and how much one breach is."""

    series: Series
    since_ms: int
    last_ms: int
    """The last evaluation that found it."""
    fall: float | None = None
    """Share of the series' own events that is missing, 0 to 1; None: unknown."""
    noise: float = 0.0
    """Standard error of the fall."""
    mean_fall: float | None = None
    """The fall since the start; None: unknown."""
    mean_noise: float = 0.0
    """Standard error of that."""
    lately_fall: float | None = None
    """The fall of the last minutes, in which more may be lost than since the start; None: unknown."""
    lately_noise: float = 0.0
    """Standard error of that."""
    loss: float | None = None
    """Share of the whole shop's revenue that is missing; None: unknown."""
    part: Labels | None = None
    """For the whole shop: the one part that explains it."""
    first_ms: int = 0
    """The first evaluation that found it as the root of an incident; 0: unknown."""

    @property
    def size(self) -> float | None:
        """The larger of the latest fall and that since the start: as an incident ends, the latest is no measure."""
        return _larger(self.fall, self.mean_fall, 1.0)

    def exceeds(self, most: float) -> bool:
        """Whether the fall is surely larger: that of the latest events, of the last minutes, or since the start.
        Unknown is not."""
        falls = (
            (self.fall, self.noise),
            (self.lately_fall, self.lately_noise),
            (self.mean_fall, self.mean_noise),
        )
        return any(fall is not None and fall - _ERRORS * noise > most for fall, noise in falls)

    @property
    def has_grown(self) -> bool:
        """Whether surely more is lost in the last minutes than since the start."""
        if self.lately_fall is None or self.mean_fall is None:
            return False
        return self.lately_fall - _ERRORS * self.lately_noise > self.mean_fall + self.mean_noise

    def after(self, before: Extent | None) -> Extent:
        """The extent with the earlier start and the larger size of two evaluations; what was larger before, fades."""
        if before is None:
            return self
        keep = 0.5 ** ((self.last_ms - before.last_ms) / _FADES_MS)
        return replace(
            self,
            since_ms=min(self.since_ms, before.since_ms),
            first_ms=before.first_ms,
            fall=_larger(self.fall, before.fall, keep),
            loss=_larger(self.loss, before.loss, keep),
        )


def _larger(now: float | None, before: float | None, keep: float) -> float | None:
    if now is None or before is None:
        return now
    return max(now, before * keep)


def extent_of(rule: Rule, breach: Breach, revenue: RevenueRate, as_of_ms: int) -> Extent:
    """Measure a breach. The interval of a sequential rule has two standard errors on each side."""
    interval, expected = breach.interval, breach.expected
    high = None if interval is None else interval.high
    spread = high - expected if high is not None and expected is not None else 0.0
    fall, noise = _fall(rule, breach, breach.value, spread)
    (mean_fall, mean_noise), (lately_fall, lately_noise) = (
        (None, 0.0) if mean is None else _fall(rule, breach, mean.value, mean.spread)
        for mean in (breach.mean, breach.lately)
    )
    part = breach.explained_by
    return Extent(
        Series(breach.rule, breach.labels),
        as_of_ms if breach.since_ms is None else breach.since_ms,
        as_of_ms,
        fall,
        noise,
        mean_fall,
        mean_noise,
        lately_fall,
        lately_noise,
        _loss(breach, _larger(fall, mean_fall, 1.0), revenue),
        None if part is None else (part,),
        as_of_ms,
    )


def _loss(breach: Breach, fall: float | None, revenue: RevenueRate) -> float | None:
    """The lost share of the shop's revenue, if each missing event is a lost sale: payments are tried again, and yet a
    fall by so much spreads to other dimensions."""
    weight = breach.weight if breach.labels else 1.0
    if fall is not None and weight is not None:
        return fall * min(weight, 1.0)
    money, gmv = breach.money_per_minute, revenue.gmv_per_minute
    return None if money is None or not gmv > 0 else min(money / gmv, 1.0 if fall is None else fall)


def _fall(rule: Rule, breach: Breach, value: float | None, spread: float) -> tuple[float | None, float]:
    """The fall of a value, and its standard error."""
    if breach.reason is FindingReason.SILENT:
        return 1.0, 0.0
    expected, detect = breach.expected, rule.detect
    if value is None or value < 0:
        return None, 0.0
    if not expected:
        low = None if breach.interval is None else breach.interval.low
        return (None if not low or low <= 0 else _share(1 - value / low)), 0.0
    error = max(spread, 0.0) / 2
    if not isinstance(detect, SequentialDetector):
        return _share(1 - value / expected), 0.0
    if detect.direction is Direction.DROP:
        return _share(1 - value / expected), error / expected
    if set(detect.count) <= set(detect.per):  # a share of attempts, such as failed ones: what falls is the rest
        return (_share((value - expected) / (1 - expected)), error / (1 - expected)) if expected < 1 else (None, 0.0)
    return (_share(1 - expected / value), error / value) if value > 0 else (None, 0.0)


def _share(number: float) -> float:
    return min(max(number, 0.0), 1.0)
