"""What really went wrong in a sale: its incidents, and `incidents.json`, which states them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, ValidationError, model_validator

from alerts.findings import Category, Labels
from consumers.errors import UsageError

TRUTH = "incidents.json"
DATA_KINDS = frozenset({"producer_silent", "click_stop"})
"""Kinds of simulated incidents in which only events are lost: the shop sells as before."""


@dataclass(frozen=True, slots=True)
class ActualIncident:
    """An actual incident, `[start_ms, end_ms)`."""

    kind: str
    start_ms: int
    end_ms: int
    facts: frozenset[tuple[str, str]] = frozenset()
    """The (dimension, value) pairs that it is limited to, and those that contain them; empty: the whole shop."""
    category: Category | None = Category.BUSINESS
    """None: the data cannot show whether the shop or its recording failed."""
    lost_per_minute: float | None = None
    """GMV that it really cost, minor units; None: unknown."""
    early_ms: int = 0
    """A page so long before the start is right, too."""
    size: float | None = None
    """Share of the events that is lost, or that fails; None: unknown."""
    stage: str = ""
    """The step of the funnel that is hit, if the kind has several."""
    is_delay: bool = False
    """Whether events only come late: right is a warning that says so."""
    must_be_named: bool = False
    """Whether a page about the whole shop is not right: the loss is too small to show there."""

    @property
    def is_whole(self) -> bool:
        """Whether it has no value that a page could name: the whole shop, or a whole topic."""
        return all(name == "topic" for name, _ in self.facts)

    def contains(self, labels: Labels) -> bool:
        """Whether labels name a value of the incident, or the whole that contains it."""
        return self.facts.issuperset(labels) and (bool(labels) or not self.must_be_named)


class _IncidentLine(BaseModel):
    """One incident of `incidents.json`; the other fields that `salepulse simulate` writes are not needed."""

    model_config = ConfigDict(frozen=True)

    kind: Annotated[str, Field(min_length=1)]
    start_ms: int
    end_ms: int
    dimension: Mapping[str, str] = {}
    options: Mapping[str, str] = {}
    size: NonNegativeFloat | None = None
    alert: bool = True
    category: Category | Literal["any"] | None = None
    lost_per_minute: NonNegativeFloat | None = None
    values: Mapping[str, Sequence[str]] = {}
    delay: bool = False

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> _IncidentLine:
        if self.end_ms <= self.start_ms:
            raise ValueError("end_ms must be later than start_ms")
        return self

    def incident(self) -> ActualIncident:
        facts = {*self.dimension.items(), *((name, value) for name, values in self.values.items() for value in values)}
        facts |= {(name, self.options[name]) for name in ("topic", "source") if name in self.options}
        if self.kind == "click_stop":
            facts.add(("topic", "clicks"))
        return ActualIncident(
            kind=self.kind,
            start_ms=self.start_ms,
            end_ms=self.end_ms,
            facts=frozenset(facts),
            category=self._category(),
            lost_per_minute=self.lost_per_minute,
            size=self.size,
            stage=self.options.get("stage", ""),
            is_delay=self.delay,
        )

    def _category(self) -> Category | None:
        if self.category is not None:
            return None if self.category == "any" else self.category
        if self.kind == "producer_silent" and "source" not in self.options:
            return None  # a topic without any event is the same whether its producers or the shop have stopped
        return Category.DATA if self.kind in DATA_KINDS else Category.BUSINESS


class _TruthFile(BaseModel):
    """`incidents.json`."""

    incidents: Sequence[_IncidentLine]


@dataclass(frozen=True, slots=True)
class SaleTruth:
    """What happened in one sale."""

    incidents: tuple[ActualIncident, ...] = ()
    """Those that on-call must be paged for."""
    demand: tuple[ActualIncident, ...] = ()
    """Changes of demand, for which no page is right."""


def read_truth(folder: Path) -> SaleTruth | None:
    """Read the incidents of a folder; None: it states none, and no page can be judged.

    Raises UsageError if the file is invalid.
    """
    path = folder / TRUTH
    if not path.is_file():
        return None
    try:
        lines = _TruthFile.model_validate_json(path.read_bytes()).incidents
    except ValidationError as error:
        raise UsageError(f"{path} is invalid: {_first_problem(error)}; {EXPECTED}") from None
    return _truth(lines)


EXPECTED = 'expected {"incidents": [{"kind": "...", "start_ms": ..., "end_ms": ...}]}, an empty list for a calm sale'


def described_truth(incidents: Sequence[Mapping[str, Any]]) -> SaleTruth:
    """The truth of incidents as `streams.simulate.folder.describe_incidents` states them."""
    return _truth([_IncidentLine.model_validate(incident) for incident in incidents])


def _truth(lines: Sequence[_IncidentLine]) -> SaleTruth:
    """Separate incidents from changes of demand."""
    return SaleTruth(
        tuple(line.incident() for line in lines if line.alert),
        tuple(line.incident() for line in lines if not line.alert),
    )


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]


def describe(incident: ActualIncident) -> str:
    """The kind with the values that it is limited to, as `order_drop channel=app`."""
    return " ".join([incident.kind, *(f"{name}={value}" for name, value in sorted(incident.facts))])
