"""Models of the detectors of rules."""

from __future__ import annotations

import re
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from alerts.rules.values import check_value
from consumers.times import parse_duration
from streams.model.windows import Window
from streams.panes.counters import COUNTER_IDS, COUNTERS

_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")


def parse_share(written: object) -> object:
    """`15%` as 0.15; other values unchanged."""
    match = _SHARE.fullmatch(written.strip()) if isinstance(written, str) else None
    return float(match[1]) / 100 if match else written


def _seconds(written: object) -> object:
    return parse_duration(written) if isinstance(written, str) else written


Seconds: TypeAlias = Annotated[float, Field(ge=0), BeforeValidator(_seconds)]
"""A duration with its unit."""
Share: TypeAlias = Annotated[float, Field(gt=0), BeforeValidator(parse_share)]
"""A share, as `15%` or 0.15."""
Number: TypeAlias = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(parse_share)]
"""A threshold in the KPI's unit (money: minor units); a ratio may be `15%`."""


class StrictModel(BaseModel):
    """A frozen model that forbids unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ReferencePeriod(StrEnum):
    """The period of the reference value."""

    PROMOTION_CLOCK = "promotion_clock"
    """The promotion that the running one names as its `baseline`, at the same time since its start."""
    YESTERDAY = "yesterday"
    """24 hours before."""
    LAST_WEEK = "last_week"
    """7 days before."""
    SEASONAL = "seasonal"
    """The median of the same time of the week, or else of the day, without known outages."""
    RECENT = "recent"
    """The last hour, without its latest minutes."""


class HealthCheck(StrEnum):
    """A health check of the monitor itself."""

    AS_OF_AGE = "as_of_age_seconds"
    """Age of the as-of."""
    STALE = "partition_stale"
    """Number of partitions without a recent heartbeat of a worker."""
    LAG = "partition_lag"
    """Records not yet counted. Labels: topic."""
    LAG_AGE = "partition_lag_seconds"
    """Age of the newest counted event of a partition with lag; the maximum over partitions. Unknown on the event clock.
    Labels: topic."""
    REFUSED = "dead_letter_rate"
    """Share of rejected messages in the last minutes. Labels: topic."""
    REPEATED = "duplicate_rate"
    """Share of duplicate events in the last minutes. Labels: topic."""
    INCOMPLETE = "incomplete_history"
    """Number of partitions that lost records before they were counted, until `salepulse incomplete clear`. Labels:
    topic."""
    STORE_DOWN = "store_down"
    """1 while Redis does not respond."""
    STORE_REFUSES = "store_refuses_writes"
    """1 while Redis responds and refuses writes: out of memory, disk full, too few replicas, a replica."""
    SOURCE_AHEAD = "source_clock_ahead_seconds"
    """How far a producer's events are ahead of the clock, if by more than 2 s. Labels: topic, source."""
    SOURCE_LATE = "source_late_seconds"
    """Mean seconds from an event to its arrival, if at least a fifth of a producer's recent events come after their
    second was complete. Labels: topic, source. Events without a source have the topic alone."""
    WORKER_CLOCK = "worker_clock_offset_seconds"
    """Clock difference between a worker and Redis, as an absolute value. Labels: worker."""
    HORIZON = "dedup_horizon_short"
    """1 while duplicates are remembered for less than the setting. Labels: topic."""


class Direction(StrEnum):
    """The direction that is a problem."""

    DROP = "drop"
    RISE = "rise"


def _listed(written: object) -> object:
    return [written] if isinstance(written, str) else written


def _counter(name: str) -> str:
    if name not in COUNTER_IDS:
        close = get_close_matches(name, COUNTER_IDS, 1)
        hint = f"do you mean {close[0]!r}?" if close else f"there are {', '.join(COUNTER_IDS)}"
        raise ValueError(f"there is no counter {name!r}: {hint}")
    return name


CounterName: TypeAlias = Annotated[
    str, AfterValidator(_counter), Field(json_schema_extra={"enum": [counter.name for counter in COUNTERS]})
]
CounterNames: TypeAlias = Annotated[tuple[CounterName, ...], BeforeValidator(_listed)]
"""Counters to add up; one may be written without a list."""


ValueName: TypeAlias = Annotated[str, AfterValidator(check_value)]
"""A counter, KPI or forecast."""


class BaseDetector(StrictModel):
    """What the detectors have in common."""

    @property
    def values(self) -> frozenset[str]:
        """The counters and KPIs that the detector depends on; empty if it depends on none in particular."""
        return frozenset()


class KpiDetector(BaseDetector):
    """A detector that reads a number from tables of KPIs."""

    value: ValueName
    window: Window = Window.M5
    least: tuple[ValueName, Number] | None = None
    """Evaluate only where this number in the same window is at least this much, such as `[orders_paid, 20]`; a
    `change` detector also requires it of the reference."""

    @property
    def values(self) -> frozenset[str]:
        """The number, and that of `least`."""
        return frozenset({self.value, *([self.least[0]] if self.least else [])})


class CounterDetector(BaseDetector):
    """A detector that reads counters by the second."""

    count: CounterNames
    """Counters to add up."""

    @property
    def values(self) -> frozenset[str]:
        """The counters."""
        return frozenset(self.count)


class ThresholdDetector(KpiDetector):
    """Fires while a number is beyond a fixed limit. A separate clear limit prevents flapping."""

    kind: Literal["threshold"]
    above: Number | None = None
    """Fires above this; write either `above` or `below`."""
    below: Number | None = None
    clear: Number | None = None
    """Clears at this limit; the firing limit if left out."""
    beyond_usual: Annotated[Number, Field(gt=0)] | None = None
    """Shifts the limit where the usual level is beyond it: the rule fires this far beyond the usual level, and clears
    within half of it. `25%` is 25 points of a share. The usual level is the median of the same four hours of the week
    in the last four weeks; with fewer than three known weeks, the plain limit applies."""

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("write one of `above` and `below`")
        limit, clear = self.limit, self.clear
        if clear is not None and (clear > limit if self.above is not None else clear < limit):
            raise ValueError("`clear` is on the wrong side of the limit: it must be on the clear side of it")
        return self

    @property
    def limit(self) -> float:
        """Return the firing limit."""
        limit = self.above if self.above is not None else self.below
        assert limit is not None
        return limit


class ChangeDetector(KpiDetector):
    """Fires while a number differs from its value at a comparable time."""

    kind: Literal["change"]
    direction: Direction
    by: Share
    """Fires if the difference exceeds this share of the reference."""
    clear_by: Share | None = None
    """Clears below this share; half of `by` if left out."""
    spreads: Annotated[float, Field(ge=0)] = 4.0
    """The difference must also exceed this many robust standard deviations of the reference, where known."""
    against: tuple[ReferencePeriod, ...] = tuple(ReferencePeriod)
    """The first period with a reference is used."""

    @model_validator(mode="after")
    def _change_is_possible(self) -> Self:
        if self.direction is Direction.DROP and self.by >= 1 and self.value in COUNTER_IDS:
            raise ValueError("`by` of a counter's drop must be less than 100%: a count cannot fall by more")
        if self.clear_by is not None and self.clear_by > self.by:
            raise ValueError("`clear_by` must be at most `by`: it clears nearer to the reference")
        return self


class SequentialDetector(CounterDetector):
    """Fires on a change of a rate or count, with a sequential test that may be read every second.

    Each `per` event leads to a `count` event with some probability, after a delay. The detector learns both from the
    sale, and fires when the evidence for a change of at least `least_effect` exceeds the threshold of the false-alarm
    budget.
    """

    kind: Literal["sequential"]
    per: CounterNames
    """Counters of the events that they follow."""
    direction: Direction = Direction.DROP
    least_effect: Share = 0.10
    """Smallest change to detect: an estimate below eight tenths of it does not fire."""
    least_sample: Annotated[float, Field(ge=1)] = 30
    """Minimum number of counted or expected `count` events, whichever is more, in the window that shows the change."""
    least_baseline: Annotated[float, Field(ge=1)] = 100
    """Minimum number of observed `count` events before the first test."""
    lag: Seconds = 0.0
    """Initial guess of the delay from `per` to `count` events."""
    late: Seconds = 0.0
    """Missing events do not fire until they are more than come in this time: a delay that grows by less is no drop."""
    loss: CounterNames = ()
    """Counters of the events that are lost, which give the lost money: `count` of a drop, none of a rise if left out.
    With `loss_lag`, a drop fires only if they fall, too."""
    loss_lag: Seconds = 0.0
    """Mean delay from `count` to `loss` events."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """This rule's weight in the false-alarm budget."""

    @property
    def values(self) -> frozenset[str]:
        """The counters of `count`, `per` and `loss`."""
        return frozenset({*self.count, *self.per, *self.loss})

    @model_validator(mode="after")
    def _effect_is_possible(self) -> Self:
        if self.direction is Direction.DROP and self.least_effect >= 1:
            raise ValueError("`least_effect` of a drop must be less than 100%: a count cannot fall by more")
        return self

    @model_validator(mode="after")
    def _delayed_loss_is_counted(self) -> Self:
        if self.loss_lag and not self.loss:
            raise ValueError(
                "`loss_lag` without `loss` does nothing: add the counters of the lost events, or remove it"
            )
        return self


class SilenceDetector(CounterDetector):
    """Fires when no events occur although some are expected: the counters of `count` are all 0.

    In `for_each: [source]`, all events of the source count.
    """

    kind: Literal["silence"]
    after: Seconds = 5.0
    """Minimum duration without events."""
    least_expected: Annotated[float, Field(ge=5)] = 30
    """Minimum number of expected events in that time, at the rate of the last minutes."""


class HealthCheckDetector(BaseDetector):
    """Fires while a health check is above a limit."""

    kind: Literal["health"]
    check: HealthCheck
    above: Number = 0.0
    clear: Number | None = None


class ShareDetector(BaseDetector):
    """Fires while a source loses events: its share of its topic's events falls, and so does its own number.

    Write `for_each: [source]`.
    """

    kind: Literal["share"]
    least_effect: Share = 0.3
    """Smallest share of the source's events to lose."""
    least_baseline: Annotated[float, Field(ge=1)] = 100
    """Minimum number of observed events of a source before the first test."""
    after: Seconds = 45.0
    """Minimum duration: events that are only late arrive meanwhile."""

    @model_validator(mode="after")
    def _loss_is_possible(self) -> Self:
        if self.least_effect >= 1:
            raise ValueError("`least_effect` must be less than 100%: a source cannot lose more events than it has")
        return self


class StockDetector(BaseDetector):
    """Fires for each SKU that is sold out, will soon be, or is oversold: one incident whose stage only rises.

    With `promoted: true`, SKUs outside promotions only fire if they are oversold.
    """

    kind: Literal["stock"]
    window: Literal[Window.M5, Window.M15, Window.H1] = Window.M15
    """Window of the sales rate."""
    soon: Seconds = 1800.0
    """Fires if the stock lasts for less than this at the rate of the window."""
    soon_for: Seconds = 60.0
    """How long it must be short before that; a sold-out SKU fires at once."""
    least_units: Annotated[float, Field(ge=1)] = 10
    """Minimum number of units sold in the window for `soon`."""
    clear: Seconds = 3600.0
    """The incident ends once the stock lasts for at least this ..."""
    clear_units: Annotated[float, Field(ge=1)] = 5
    """... with at least this number of units ..."""
    clear_for: Seconds = 600.0
    """... without interruption for this long."""

    @property
    def values(self) -> frozenset[str]:
        """The stock and its sales."""
        return frozenset({"stock_available", "units"})


AnyDetector: TypeAlias = (
    ThresholdDetector
    | ChangeDetector
    | SequentialDetector
    | SilenceDetector
    | ShareDetector
    | StockDetector
    | HealthCheckDetector
)
Detect: TypeAlias = Annotated[AnyDetector, Field(discriminator="kind")]
