"""A rule: what is watched, where, when, how bad it is, and what to do about it."""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from alerts.findings import Category, Severity
from alerts.rules.dependencies import topics_of
from alerts.rules.detect import (
    ChangeDetector,
    Detect,
    HealthCheckDetector,
    SequentialDetector,
    SilenceDetector,
    StrictModel,
    ThresholdDetector,
)
from alerts.rules.units import Seconds, Share
from alerts.rules.values import check_scopes
from consumers.topics import EVENT_TOPICS, Topic


class RuleScope(StrEnum):
    """What a rule may be applied to, one by one."""

    ALL = "all"
    """The whole shop: the parent of what the other scopes cut it into."""
    PROMOTION = "promotion"
    CHANNEL = "channel"
    REGION = "region"
    CATEGORY = "category"
    CAMPAIGN = "campaign"
    LIVE_ROOM = "live_room"
    VARIANT = "variant"
    MEMBER = "member"
    SKU = "sku"
    """Every SKU that is known; with `promoted: true` those of the running promotions."""
    SOURCE = "source"
    """Every producer, as `topic/source`."""


class PromotionCondition(StrictModel):
    """A condition on the promotions that run; all that is given must hold."""

    running: bool | None = None
    """true: while any promotion runs; false: while none does."""
    promotions: tuple[str, ...] = ()
    """While one of these runs."""
    phases: tuple[str, ...] = ()
    """While a promotion is in a phase of one of these names."""
    first: Seconds | None = None
    """Only so long after the promotion, or the phase, began."""


class RuleOverride(StrictModel):
    """What is different while a condition holds. Of several that hold, the last one given counts for each field."""

    when: PromotionCondition
    enabled: bool | None = None
    severity: Severity | None = None
    detect: dict[str, Any] = Field(default_factory=dict)
    """Fields of the detector with other values; its kind stays."""


class LossMethod(StrEnum):
    """How a finding is put into money."""

    NONE = "none"
    SHORTFALL = "shortfall"
    """The GMV that was to be expected a minute, times the share by which the number falls short."""
    EXCESS = "excess"
    """So many more than expected a minute, times the average order."""
    ALL_OF_IT = "all_of_it"
    """All GMV of the series a minute, as it was before: it is lost while this lasts."""


class Rule(StrictModel):
    """One rule of the file."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
    """Lower-case words with hyphens. An alert's identity: renamed, it is another rule."""
    title: Annotated[str, Field(min_length=1, max_length=100)]
    """What is wrong, in a few words."""
    category: Category = Category.BUSINESS
    severity: Severity = Severity.WARNING
    critical_from: Share | None = None
    """Critical where it loses at least this share of the whole shop's GMV a minute."""
    incident: str = ""
    """Rules with the same word here tell of one incident: the first of them pages, the others are held back. Given two
    at once, the one that stands first in the file. Left out: the rule's own name."""
    inhibit_for: Seconds = 600.0
    """So long it stays held back after what told of its `incident` is right again, for the end of one reaches some
    tests later than others. With `0s` it goes on with the page at once: for what is no echo, but was foretold."""
    for_each: tuple[RuleScope, ...] = (RuleScope.ALL,)
    promoted: bool = False
    """In scope `sku`: only those of the running promotions."""
    values: tuple[str, ...] = ()
    """Only these values of the scopes; empty: every one."""
    detect: Detect
    when: PromotionCondition = PromotionCondition()
    """Only then; always, if left out."""
    during: tuple[RuleOverride, ...] = ()
    for_s: Annotated[Seconds, Field(alias="for")] = 0.0
    """It must last so long before anybody is told."""
    keep_firing_for: Seconds = 60.0
    """It must be right again for so long before it counts as resolved."""
    money: LossMethod = LossMethod.NONE
    explains: tuple[Topic, ...] | None = None
    """Of a data fault: business alerts that rest on these topics are held back while it lasts. Left out, the topic that
    the fault's labels name, else all; an empty list: none, for what leaves the numbers right."""
    causes: tuple[str, ...] = ()
    """Incidents (see `incident`) that follow from this one: held back while it lasts and ten minutes more."""
    runbook: str = ""
    """Address or path of what to do."""
    enabled: bool = True

    @model_validator(mode="after")
    def _variants_make_sense(self) -> Self:
        for place, during in enumerate(self.during):
            if "kind" in during.detect:
                raise ValueError(f"during {place + 1}: the kind of detector cannot change, leave `kind` out")
            self.detector(frozenset({place}))
        return self

    @model_validator(mode="after")
    def _numbers_are_known(self) -> Self:
        for holding in (frozenset[int](), *(frozenset({place}) for place in range(len(self.during)))):
            detect = self.detector(holding)
            if isinstance(detect, ThresholdDetector | ChangeDetector):
                for name in (detect.value, *([detect.least[0]] if detect.least else ())):
                    check_scopes(name, self.for_each)
        return self

    @cached_property
    def _variants(
        self,
    ) -> dict[
        frozenset[int], ThresholdDetector | ChangeDetector | SequentialDetector | SilenceDetector | HealthCheckDetector
    ]:
        return {}

    def detector(
        self, holding: frozenset[int]
    ) -> ThresholdDetector | ChangeDetector | SequentialDetector | SilenceDetector | HealthCheckDetector:
        """The detector while these of `during` hold (places, from 0). Raises ValidationError where it is none."""
        if holding not in self._variants:
            fields = self.detect.model_dump(exclude_unset=True)
            for place in sorted(holding):
                fields |= self.during[place].detect
            self._variants[holding] = _DETECT.validate_python(fields)
        return self._variants[holding]

    @cached_property
    def topics(self) -> frozenset[Topic]:
        """The topics that what it watches is made of."""
        match self.detect:
            case SequentialDetector(count=count, per=per):
                return frozenset().union(*(topics_of(name) for name in (*count, *per)))
            case SilenceDetector(count=count):
                return frozenset().union(*(topics_of(name) for name in count))
            case ThresholdDetector(value=value) | ChangeDetector(value=value):
                return topics_of(value)
        return frozenset(EVENT_TOPICS)

    @property
    def incident_key(self) -> str:
        """What its findings are one incident with."""
        return self.incident or self.name


_DETECT: TypeAdapter[
    ThresholdDetector | ChangeDetector | SequentialDetector | SilenceDetector | HealthCheckDetector
] = TypeAdapter(Detect)


class Budget(StrictModel):
    """How often on-call may be woken for nothing."""

    false_pages_per_day: Annotated[float, Field(gt=0, le=100)] = 0.5
    """Of all sequential rules and all their series together, in a sale where nothing is wrong."""


class Rules(StrictModel):
    """A rule file."""

    version: Literal["1"] = "1"
    budget: Budget = Budget()
    rules: tuple[Rule, ...]
