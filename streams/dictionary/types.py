"""What a model consists of. Terms as in Cube and MetricFlow: dimension, measure, metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct

from consumers.contract.own_fields import OwnFields
from consumers.topics import Topic
from streams.dictionary.formula import Formula

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from consumers.contract.decoding import EventDecoder


class Unit(StrEnum):
    """Unit of a counter or KPI. Money is in minor units in JSON, in major units in Prometheus."""

    COUNT = "count"
    MONEY = "money"
    MILLISECONDS = "milliseconds"
    SECONDS = "seconds"
    MINUTES = "minutes"
    HOURS = "hours"
    RATIO = "ratio"


class DimensionKind(StrEnum):
    """Where the value of an event in a dimension comes from."""

    ALL = "all"
    """Every event has the same value."""
    FIELD = "field"
    """A label, or a flag as `true` and `false`."""
    BANDS = "bands"
    """The band of a number."""
    CLOCK = "clock"
    """The local hour of event time, 0 to 23."""
    CROSS = "cross"
    """The values of several dimensions, joined."""


class MeasureKind(StrEnum):
    """How a measure combines events."""

    COUNT = "count"
    SUM = "sum"
    DISTINCT = "distinct"
    MIN = "min"
    MAX = "max"
    QUANTILES = "quantiles"

    @property
    def is_counter(self) -> bool:
        """Whether panes hold it as an additive counter."""
        return self in (MeasureKind.COUNT, MeasureKind.SUM)


QUANTILES: Mapping[str, float] = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
"""# <suffix of a measure's answers: quantile>"""


class Dimension(Struct, frozen=True):
    """A dimension of numbers; in answers and rules it is called scope."""

    id: int
    """In stored panes: it never changes."""
    name: str
    kind: DimensionKind
    topics: frozenset[Topic]
    """The topics whose events can have a value."""
    field: str = ""
    """Of `FIELD` and `BANDS`."""
    edges: tuple[int, ...] = ()
    """Of `BANDS`: the lower bound of each band, ascending, in stored units (minor units of money)."""
    labels: tuple[str, ...] = ()
    """Of `BANDS`: the value of each band; the last is open above."""
    parts: tuple[str, ...] = ()
    """Of `CROSS`: names of dimensions, which are no crossings themselves."""
    by_line: bool = False
    """Whether an order counts by its lines."""
    distincts: bool = False
    """Whether distinct counts exist in it."""
    coarse_distincts: bool = False
    """Whether distinct counts have panes of 10 min and longer only, because there are many values."""
    since_ms: int | None = None
    """Event time from which it counts; None: from the beginning."""


class FieldCondition(Struct, frozen=True):
    """A condition on a field, or on a dimension that is not by line."""

    field: str
    values: frozenset[str]
    """Texts that fit; "" is an absent label, "true" and "false" are those of flags."""
    negated: bool = False
    """Every other value fits."""


class ModelMeasure(Struct, frozen=True):
    """A number that panes hold for each row, mergeable in any order."""

    id: int
    """In stored panes: it never changes. Counters (`COUNT`, `SUM`), `DISTINCT`, `MIN` with `MAX`, and `QUANTILES` have
    ids of their own."""
    name: str
    kind: MeasureKind
    topic: Topic
    types: tuple[str, ...]
    """The event types that it counts."""
    field: str = ""
    """The field that it sums, compares or counts the distinct values of; of `COUNT`: which events must have."""
    where: tuple[FieldCondition, ...] = ()
    """All must hold."""
    scopes: frozenset[str] = frozenset()
    """The dimensions in which it exists."""
    names_scopes: bool = False
    """Whether its definition names them; else it exists in each that fits."""
    unit: Unit = Unit.COUNT
    public: bool = True
    """Whether answers show it; else it is only part of formulas."""
    about: str = ""
    """What it counts."""
    source: str = ""
    """The code that computes it; empty: the fold, from the fields above."""
    since_ms: int | None = None
    """Event time from which it counts; None: from the beginning."""

    @property
    def event_type(self) -> str:
        """The type of events that it counts, all of them and nothing else; empty: it counts something else."""
        is_plain = self.kind is MeasureKind.COUNT and not (self.field or self.where or self.source)
        return self.types[0] if is_plain and len(self.types) == 1 else ""

    @property
    def answers(self) -> tuple[str, ...]:
        """The names of its numbers in answers."""
        return tuple(f"{self.name}_{q}" for q in QUANTILES) if self.kind is MeasureKind.QUANTILES else (self.name,)


class Metric(Struct, frozen=True):
    """A number computed from others."""

    name: str
    formula: Formula | None
    """None: code computes it, see `source`."""
    inputs: tuple[str, ...]
    """The names in its formula, those of metrics replaced by theirs; a metric that code computes is an input itself."""
    scopes: frozenset[str]
    """The dimensions in which it exists."""
    unit: Unit = Unit.RATIO
    good: str = ""
    """`up` or `down`: the direction that is good for the shop; empty: neither."""
    about: str = ""
    """Its formula in words; empty: the formula says it."""
    source: str = ""
    """The code that computes it."""
    since_ms: int | None = None
    """The latest `since_ms` of its inputs."""

    @property
    def text(self) -> str:
        """Its formula as answers show it."""
        return self.about or (str(self.formula) if self.formula else "")


@dataclass(frozen=True, eq=False)
class Model:
    """Everything that is counted and answered. Compared by identity; `fingerprint` compares contents."""

    dimensions: Mapping[str, Dimension]
    """By name, the built-in ones first."""
    measures: Mapping[str, ModelMeasure]
    """By name, in the order of answers."""
    metrics: Mapping[str, Metric]
    """By name, in the order of answers."""
    own: frozenset[str] = frozenset()
    """The names of measures and metrics that are not built in."""
    own_fields: OwnFields = field(default_factory=dict)
    """The fields that are read besides the contract's: those that the shop declares, and those of the contract's
    version 2 that it names."""
    fingerprint: str = ""
    generation: int = 0
    """Increases with each change of a store's model; 0: not stored."""

    @cached_property
    def decoder(self) -> EventDecoder:
        """Decodes events with the fields of this model."""
        from consumers.contract.decoding import CONTRACT, EventDecoder  # imports numpy

        return EventDecoder(self.own_fields) if self.own_fields else CONTRACT

    @cached_property
    def counters(self) -> tuple[ModelMeasure, ...]:
        """In the order of answers, the private ones in between."""
        return tuple(measure for measure in self.measures.values() if measure.kind.is_counter)

    @cached_property
    def distincts(self) -> tuple[ModelMeasure, ...]:
        """In the order of answers."""
        return self._of_kinds(MeasureKind.DISTINCT)

    @cached_property
    def extremes(self) -> tuple[ModelMeasure, ...]:
        """In the order of answers."""
        return self._of_kinds(MeasureKind.MIN, MeasureKind.MAX)

    @cached_property
    def quantiles(self) -> tuple[ModelMeasure, ...]:
        """In the order of answers."""
        return self._of_kinds(MeasureKind.QUANTILES)

    def _of_kinds(self, *kinds: MeasureKind) -> tuple[ModelMeasure, ...]:
        return tuple(measure for measure in self.measures.values() if measure.kind in kinds)

    @cached_property
    def public_measures(self) -> tuple[ModelMeasure, ...]:
        """The measures that answers show, in their order: counters, distinct counts, extremes, quantiles."""
        ordered = (*self.counters, *self.distincts, *self.extremes, *self.quantiles)
        return tuple(measure for measure in ordered if measure.public)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every name in an answer, in order."""
        return (*(name for measure in self.public_measures for name in measure.answers), *self.metrics)

    @cached_property
    def units(self) -> Mapping[str, Unit]:
        """# <name in an answer: unit>"""
        of_measures = {name: measure.unit for measure in self.public_measures for name in measure.answers}
        return of_measures | {metric.name: metric.unit for metric in self.metrics.values()}

    @cached_property
    def dimension_names(self) -> Mapping[int, str]:
        """# <id: name of the dimension>"""
        return {dimension.id: dimension.name for dimension in self.dimensions.values()}

    @cached_property
    def counter_slot(self) -> npt.NDArray[np.int16]:
        """# [counter id]: index in `counters`, -1 without such a counter"""
        import numpy as np  # commands that need names alone start without it

        slots = np.full(256, -1, np.int16)
        for i, measure in enumerate(self.counters):
            slots[measure.id] = i
        return slots

    @cached_property
    def distinct_slot(self) -> npt.NDArray[np.int8]:
        """# [dimension id, distinct id]: index among the distinct counts of the dimension, -1 where it has none"""
        import numpy as np

        slots = np.full((256, 256), -1, np.int8)
        for dimension in self.dimensions.values():
            for i, measure in enumerate(measure for measure in self.distincts if dimension.name in measure.scopes):
                slots[dimension.id, measure.id] = i
        return slots

    @cached_property
    def _scopes_of(self) -> Mapping[str, frozenset[str]]:
        of_measures = {name: measure.scopes for measure in self.public_measures for name in measure.answers}
        return of_measures | {metric.name: metric.scopes for metric in self.metrics.values()}

    @cached_property
    def _names_in(self) -> dict[str, tuple[str, ...]]:
        scopes_of = self._scopes_of
        return {scope: tuple(name for name in self.names if scope in scopes_of[name]) for scope in self.dimensions}

    def names_in(self, scope: str) -> tuple[str, ...]:
        """The names that exist in a dimension, in order; the others are null there."""
        return self._names_in[scope]

    def missing(self, scope: str, start_ms: int) -> frozenset[str]:
        """The names that do not count yet at the start of a window; they are null in it."""
        since_ms = self.dimensions[scope].since_ms
        if since_ms is not None and since_ms > start_ms:
            return frozenset(self.names)
        return frozenset(name for name, since in self._since.items() if since > start_ms)

    @cached_property
    def _since(self) -> Mapping[str, int]:
        of_measures = {name: m.since_ms for m in self.public_measures for name in m.answers}
        of_metrics = {metric.name: metric.since_ms for metric in self.metrics.values()}
        return {name: since for name, since in (of_measures | of_metrics).items() if since is not None}
