"""The model of a rule: scopes, detector, timing, severity and runbook."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from alerts.findings import Category, Severity
from alerts.rules.detect import (
    AnyDetector,
    Detect,
    KpiDetector,
    Seconds,
    Share,
    ShareDetector,
    StockDetector,
    StrictModel,
)
from alerts.rules.values import check_scopes, topics_of
from consumers.topics import EVENT_TOPICS, Topic


class RuleScope(StrEnum):
    """The scopes of a rule; each value is a series."""

    ALL = "all"
    """The whole shop, parent of the other scopes."""
    PROMOTION = "promotion"
    CHANNEL = "channel"
    REGION = "region"
    CATEGORY = "category"
    CAMPAIGN = "campaign"
    LIVE_ROOM = "live_room"
    VARIANT = "variant"
    MEMBER = "member"
    SKU = "sku"
    """All known SKUs; with `promoted: true`, those of running promotions."""
    WAREHOUSE = "warehouse"
    """Warehouses that orders are dispatched from; only for the numbers of dispatches."""
    SOURCE = "source"
    """Producers, as `topic/source`."""


class PromotionCondition(StrictModel):
    """A condition on running promotions; all given fields must match."""

    running: bool | None = None
    """true: a promotion is running; false: none is."""
    promotions: tuple[str, ...] = ()
    """One of these promotions is running."""
    phases: tuple[str, ...] = ()
    """A promotion is in a phase of one of these names."""
    first: Seconds | None = None
    """Only this long after the start of the promotion or phase."""


class RuleOverride(StrictModel):
    """Other values while a condition is met. Of several overrides, the last one wins for each field."""

    when: PromotionCondition
    enabled: bool | None = None
    severity: Severity | None = None
    detect: dict[str, Any] = Field(default_factory=dict)
    """Detector fields with other values; `kind` cannot change."""


class LossMethod(StrEnum):
    """How to compute the lost revenue of a finding."""

    NONE = "none"
    SHORTFALL = "shortfall"
    """Expected GMV per minute times the relative shortfall."""
    EXCESS = "excess"
    """Excess per minute times the average order value."""
    DELAYED = "delayed"
    """GMV of the orders that should have been dispatched, at the average order value: at stake, not lost yet."""
    ALL_OF_IT = "all_of_it"
    """The series' usual GMV per minute, all of it lost."""


class Rule(StrictModel):
    """One rule."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
    """Lower-case words with hyphens. Part of the alert's identity: a renamed rule is a new one."""
    title: Annotated[str, Field(min_length=1, max_length=100)]
    """The problem in a few words."""
    category: Category = Category.BUSINESS
    severity: Severity = Severity.WARNING
    critical_from: Share | None = None
    """Critical if it loses at least this share of the whole shop's GMV per minute."""
    warning_from: Share | None = None
    """Severity `info` below this share of the whole shop's GMV per minute: listed, and no page."""
    incident: str = ""
    """Rules with the same value may explain each other's breaches: then one pages and inhibits the others. If two
    start together, the one listed first pages. Default: the rule's name."""
    inhibit_for: Seconds = 600.0
    """How long this rule stays inhibited after the root of its `incident` has cleared, because detectors clear at
    different times. With `0s` it continues the page at once: for a forecast that has come true."""
    for_each: tuple[RuleScope, ...] = (RuleScope.ALL,)
    promoted: bool = False
    """In scope `sku`: only SKUs of running promotions; for a promotion that lists none, its 50 best sellers."""
    values: tuple[str, ...] = ()
    """Only these values of the scopes; empty: all."""
    detect: Detect
    when: PromotionCondition = PromotionCondition()
    """When the rule applies; default: always."""
    during: tuple[RuleOverride, ...] = ()
    for_s: Annotated[Seconds, Field(alias="for")] = 0.0
    """How long the breach must last before the alert fires."""
    keep_firing_for: Seconds = 60.0
    """How long the value must be clear before the alert resolves."""
    digest: Seconds = 0.0
    """Notices of this rule that are not critical wait for the next multiple of this interval, and are one message."""
    money: LossMethod = LossMethod.NONE
    explains: tuple[Topic, ...] | None = None
    """For data faults: topics whose business alerts are inhibited as far as the fault accounts for them. Default: the
    topic in the fault's labels, else all; an empty list: none."""
    causes: tuple[str, ...] = ()
    """Incidents (see `incident`) that this one explains if they begin with it or later: inhibited meanwhile, and after
    it for their `inhibit_for`."""
    runbook: str = ""
    """Address or path of the runbook."""
    enabled: bool = True

    @model_validator(mode="after")
    def _variants_make_sense(self) -> Self:
        for index, during in enumerate(self.during):
            if "kind" in during.detect:
                raise ValueError(f"during {index + 1}: the kind of a detector cannot change: remove `kind`")
            self.detector(frozenset({index}))
        return self

    @model_validator(mode="after")
    def _numbers_are_known(self) -> Self:
        for holding in (frozenset[int](), *(frozenset({index}) for index in range(len(self.during)))):
            detect = self.detector(holding)
            if isinstance(detect, KpiDetector):
                for name in sorted(detect.values):
                    check_scopes(name, self.for_each)
            elif RuleScope.WAREHOUSE in self.for_each:
                raise ValueError("scope `warehouse` has no counters by the second: use a `threshold` or `change` rule")
            scope = _ONLY_SCOPES.get(type(detect))
            if scope is not None and set(self.for_each) != {scope}:
                raise ValueError(f"a `{self.detect.kind}` rule exists by {scope} only: write `for_each: [{scope}]`")
        return self

    @cached_property
    def _variants(self) -> dict[frozenset[int], AnyDetector]:
        return {}

    def detector(self, holding: frozenset[int]) -> AnyDetector:
        """Return the detector with these overrides (indexes). Raises ValidationError if it is invalid."""
        if holding not in self._variants:
            fields = self.detect.model_dump(exclude_unset=True)
            for index in sorted(holding):
                fields |= self.during[index].detect
            self._variants[holding] = _DETECT.validate_python(fields)
        return self._variants[holding]

    @cached_property
    def topics(self) -> frozenset[Topic]:
        """The topics that the detector depends on."""
        values = self.detect.values
        return frozenset().union(*map(topics_of, values)) if values else frozenset(EVENT_TOPICS)

    @property
    def incident_key(self) -> str:
        """Key of the incident that its findings belong to."""
        return self.incident or self.name


_ONLY_SCOPES: Mapping[type, RuleScope] = {StockDetector: RuleScope.SKU, ShareDetector: RuleScope.SOURCE}
_DETECT: TypeAdapter[AnyDetector] = TypeAdapter(Detect)


class Budget(StrictModel):
    """The false-alarm budget."""

    false_pages_per_day: Annotated[float, Field(gt=0, le=100)] = 0.5
    """Expected false pages per day of all sequential rules and series together."""


class Rules(StrictModel):
    """A rule file."""

    version: Literal["1"] = "1"
    budget: Budget = Budget()
    rules: tuple[Rule, ...]
