"""How a rule decides that something is wrong: the five kinds of detector that it may name."""

from __future__ import annotations

from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from alerts.rules.units import Number, Seconds, Share
from alerts.rules.values import check_value
from streams.model.windows import Window
from streams.panes.counters import COUNTER_IDS, COUNTERS


class StrictModel(BaseModel):
    """Frozen, and no name is taken that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ReferencePeriod(StrEnum):
    """What a number is compared with."""

    PROMOTION_CLOCK = "promotion_clock"
    """The earlier promotion that the running one names as its `baseline`, at the same time since its start."""
    YESTERDAY = "yesterday"
    """24 hours before."""
    LAST_WEEK = "last_week"
    """7 days before."""
    SEASONAL = "seasonal"
    """The median of the same time of the week, or else of the day, in what is kept; known outages are left out."""
    RECENT = "recent"
    """The sale's own last hour, its latest minutes left out."""


class HealthCheck(StrEnum):
    """What the monitor knows of itself."""

    AS_OF_AGE = "as_of_age_seconds"
    """How far what is shown is behind the clock."""
    STALE = "partition_stale"
    """How many partitions are without word from a worker."""
    LAG = "partition_lag"
    """Records that wait to be counted. Labels: topic."""
    LAG_AGE = "partition_lag_seconds"
    """How far the newest event of a partition with records waiting is behind the clock, of the one furthest behind.
    Labels: topic. On the event clock it is not known."""
    REFUSED = "dead_letter_rate"
    """Share of the last minutes' messages that were refused. Labels: topic."""
    REPEATED = "duplicate_rate"
    """Share of the last minutes' events that had been seen. Labels: topic."""
    INCOMPLETE = "incomplete_history"
    """How many partitions of a topic lost records before they were counted, until `salepulse incomplete clear`. Labels:
    topic."""
    STORE_DOWN = "store_down"
    """1 while Redis does not answer."""
    STORE_REFUSES = "store_refuses_writes"
    """1 while Redis answers and refuses writes: out of memory, disk full, too few replicas, a replica."""
    SOURCE_AHEAD = "source_clock_ahead_seconds"
    """How far a producer's events are ahead of the clock, where by more than 2 s. Labels: topic, source."""
    WORKER_CLOCK = "worker_clock_offset_seconds"
    """How far the clock of a worker's machine is from Redis's, either way. Labels: worker."""
    HORIZON = "dedup_horizon_short"
    """1 while repeats are remembered for less than the setting. Labels: topic."""


class Direction(StrEnum):
    """Which change is bad."""

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
"""Counters that are added up; one may be written without a list."""


ValueName: TypeAlias = Annotated[str, AfterValidator(check_value)]
"""A counter, KPI or forecast."""


class ThresholdDetector(StrictModel):
    """A number of the API beyond a fixed limit; it clears at another, so that it does not flap."""

    kind: Literal["threshold"]
    value: ValueName
    window: Window = Window.M5
    above: Number | None = None
    """Wrong when greater than this; exactly one of `above` and `below` is given."""
    below: Number | None = None
    clear: Number | None = None
    """Right again when no longer beyond this; the limit itself if left out."""
    beyond_usual: Annotated[Number, Field(gt=0)] | None = None
    """Where the series' usual level is beyond the limit already, what is by so much beyond that level is wrong instead,
    and right again within half of it: `25%` is 25 points of a share. Usual is the median of the same four hours of the
    week in the last four weeks; where fewer than three of them are known, the limit counts."""
    least: tuple[ValueName, Number] | None = None
    """Only where this number (of the same window) is at least so much, such as `[orders_paid, 20]`."""

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("write one of `above` and `below`")
        limit, clear = self.limit, self.clear
        if clear is not None and (clear > limit if self.above is not None else clear < limit):
            raise ValueError("`clear` is on the wrong side of the limit: it must be nearer to what is right")
        return self

    @property
    def limit(self) -> float:
        """The threshold."""
        limit = self.above if self.above is not None else self.below
        assert limit is not None
        return limit


class ChangeDetector(StrictModel):
    """A number of the API that is far from what it was at a comparable time."""

    kind: Literal["change"]
    value: ValueName
    window: Window = Window.M5
    direction: Direction
    by: Share
    """Wrong when it is off by more than this share of the baseline."""
    clear_by: Share | None = None
    """Right again when off by less than this; half of `by` if left out."""
    spreads: Annotated[float, Field(ge=0)] = 4.0
    """And off by more than so many of the baseline's own spreads (robust standard deviations), where known."""
    against: tuple[ReferencePeriod, ...] = tuple(ReferencePeriod)
    """The first of these that has a baseline is taken."""
    least: tuple[ValueName, Number] | None = None
    """Only where this number (of the same window) is at least so much, now and at the time compared with."""

    @model_validator(mode="after")
    def _change_is_possible(self) -> Self:
        if self.direction is Direction.DROP and self.by >= 1 and self.value in COUNTER_IDS:
            raise ValueError("`by` of a counter's drop must be less than 100%: nothing falls by more than all of it")
        if self.clear_by is not None and self.clear_by > self.by:
            raise ValueError("`clear_by` must be at most `by`: it is right again nearer to the baseline")
        return self


class SequentialDetector(StrictModel):
    """A rate or a count that has changed: a test that may be looked at every second without wearing out.

    Of every `per` event, delayed by as long as people take, some lead to a `count` event. The detector learns how many,
    and how long they take, from the sale itself, and alarms when the evidence for a change of at least `least_effect`
    is so great that the budget of false alarms allows it.
    """

    kind: Literal["sequential"]
    count: CounterNames
    """Counters that are added up."""
    per: CounterNames
    """Counters that they follow from."""
    direction: Direction = Direction.DROP
    least_effect: Share = 0.10
    """Changes smaller than this are not looked for: no alarm below it, and none at all below half of it."""
    least_sample: Annotated[float, Field(ge=1)] = 30
    """No alarm before so many `count` events were to be expected since the change."""
    least_baseline: Annotated[float, Field(ge=1)] = 100
    """No test before so many `count` events have been seen."""
    lag: Seconds = 0.0
    """How long `count` events come after `per` events, as a first guess; the sale then tells."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """This rule's part of the budget of false alarms, relative to the others'."""

    @model_validator(mode="after")
    def _effect_is_possible(self) -> Self:
        if self.direction is Direction.DROP and self.least_effect >= 1:
            raise ValueError("`least_effect` of a drop must be less than 100%: nothing falls by more than all of it")
        return self


class SilenceDetector(StrictModel):
    """Nothing comes where something was to be expected."""

    kind: Literal["silence"]
    count: CounterNames
    """Counters that all stand still. In `for_each: [source]` it is the source's events, whichever they are."""
    after: Seconds = 5.0
    """No alarm before so much time without any."""
    least_expected: Annotated[float, Field(ge=5)] = 30
    """No alarm before so many were to be expected in that time, at the rate of the last minutes."""


class HealthCheckDetector(StrictModel):
    """What the monitor knows of itself, beyond a limit."""

    kind: Literal["health"]
    check: HealthCheck
    above: Number = 0.0
    clear: Number | None = None


Detect = Annotated[
    ThresholdDetector | ChangeDetector | SequentialDetector | SilenceDetector | HealthCheckDetector,
    Field(discriminator="kind"),
]
