"""What is counted of one topic's events, compiled from a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from consumers.contract.events import EVENT_TYPES
from consumers.contract.own_fields import FieldType
from consumers.topics import Topic
from streams.dictionary.compiling import FIRST_OWN_ID
from streams.dictionary.fields import TopicFields, fields_with
from streams.dictionary.types import Dimension, DimensionKind, FieldCondition, MeasureKind, Model, ModelMeasure
from streams.panes.arrays import Ints

TYPE_NAMES: Mapping[Topic, tuple[str, ...]] = {topic: tuple(sorted(names)) for topic, names in EVENT_TYPES.items()}
"""The types of each topic; an event's type is an index into this."""

COUNTED = ""
"""In place of a field: each event counts 1."""
ALWAYS = frozenset({"amount", "units"})
"""Derived fields, which every order has."""
NO_SLOT = -1


@dataclass(frozen=True, slots=True)
class RowCondition:
    """A condition on the rows of a dimension or the numbers of a field (`Columns`)."""

    name: str
    of_dimension: bool
    labels: tuple[str, ...] = ()
    """Of a dimension: the values that fit."""
    numbers: tuple[int, ...] = ()
    """Of a field: the numbers that fit."""
    negated: bool = False
    absent_fits: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events a measure takes."""

    types: frozenset[str]
    given: str = ""
    """The field that they carry; empty: any."""
    where: tuple[RowCondition, ...] = ()


@dataclass(frozen=True, slots=True)
class CounterGroup:
    """Counters of the same events in the same dimensions."""

    selection: int
    """Index in `CountingPlan.selections`."""
    by_line: bool
    dimensions: frozenset[int]
    """Indexes in `CountingPlan.dimensions`, or in `line_dimensions` if it is by line."""
    terms: tuple[tuple[int, str], ...]
    """# (slot, field whose values it adds, or `COUNTED`)"""


@dataclass(frozen=True, slots=True)
class DistinctGroup:
    """Distinct counts of the same events in the same dimensions."""

    selection: int
    dimensions: frozenset[int]
    line_dimensions: frozenset[int]
    terms: tuple[tuple[int, str], ...]
    """# (distinct id, field)"""


@dataclass(frozen=True, slots=True)
class CountingPlan:
    """What is counted of one topic's events."""

    dimensions: tuple[Dimension, ...]
    """In which an event has at most one value; crossings follow their parts."""
    line_dimensions: tuple[Dimension, ...]
    """In which an order counts by its lines."""
    numbers: tuple[str, ...]
    """Fields of events that are read as numbers."""
    codes: Mapping[str, Mapping[str | None, int]]
    """# <label that a condition names, but is no dimension: <value: its code>>; other values are -1, absent ones 0"""
    hashed: tuple[str, ...]
    """Labels of which distinct values are counted."""
    item_numbers: tuple[str, ...]
    """Fields of order lines that are read as numbers, besides qty and unit_price."""
    item_sums: tuple[str, ...]
    """Fields of order lines whose sum over the lines is a number of the order."""
    line_numbers: tuple[str, ...]
    """Numbers of order lines that are summed per order and row."""
    counter_ids: Ints
    """# [slot]: counter id, ascending"""
    type_slots: Ints
    """# [type]: slot of the counter of every event of the type, or `NO_SLOT`"""
    is_counted: npt.NDArray[np.bool_]
    """# [type]: whether anything is counted of it"""
    selections: tuple[Selection, ...]
    counters: tuple[CounterGroup, ...]
    distincts: tuple[DistinctGroup, ...]


@lru_cache(maxsize=32)
def plan_of(model: Model, topic: Topic) -> CountingPlan:
    """The plan of a topic."""
    return _Compiler(model, topic).plan()


class _Compiler:
    def __init__(self, model: Model, topic: Topic) -> None:
        self._topic, self._types = topic, TYPE_NAMES[topic]
        self._fields: TopicFields = fields_with(model.own_fields)[topic]
        of_topic = [dimension for dimension in model.dimensions.values() if topic in dimension.topics]
        self._by_line = [dimension for dimension in of_topic if topic is Topic.ORDERS and dimension.by_line]
        self._whole = [dimension for dimension in of_topic if dimension not in self._by_line]
        self._measures = [m for m in model.measures.values() if m.topic is topic and not m.source]
        self._codes: dict[str, dict[str | None, int]] = {}
        self._numbers = {name: None for name in self._banded(self._whole) if name not in ALWAYS}
        self._item_numbers = dict.fromkeys(self._banded(self._by_line))
        self._item_sums: dict[str, None] = {}
        self._selections: dict[Selection, int] = {}

    @staticmethod
    def _banded(dimensions: Iterable[Dimension]) -> list[str]:
        return [dimension.field for dimension in dimensions if dimension.kind is DimensionKind.BANDS]

    def plan(self) -> CountingPlan:
        counters = sorted((m for m in self._measures if m.kind.is_counter), key=lambda measure: measure.id)
        slots = {measure.name: slot for slot, measure in enumerate(counters)}
        type_slots = np.full(len(self._types), NO_SLOT)
        groups: dict[tuple[int, bool, frozenset[int]], list[tuple[int, str]]] = {}
        for measure in counters:
            if self._is_of_type(measure):
                type_slots[self._types.index(measure.event_type)] = slots[measure.name]
                continue
            self._use(measure.field)
            selection = self._selection(measure)
            term = slots[measure.name], COUNTED if measure.kind is MeasureKind.COUNT else measure.field
            for by_line, dimensions in ((False, self._whole), (True, self._by_line)):
                if found := _indexes(dimensions, measure):
                    groups.setdefault((selection, by_line, found), []).append(term)
        distincts = self._distincts()
        is_counted = type_slots != NO_SLOT
        for taken in self._selections:
            is_counted |= np.isin(self._types, list(taken.types))
        by_line_terms = (term for (_, by_line, _), terms in groups.items() if by_line for term in terms)
        line_fields = {name: None for _, name in by_line_terms if name}
        return CountingPlan(
            dimensions=tuple(self._whole),
            line_dimensions=tuple(self._by_line),
            numbers=tuple(self._numbers),
            codes=self._codes,
            hashed=tuple({field: None for group in distincts for _, field in group.terms}),
            item_numbers=tuple(name for name in self._item_numbers if name not in ("qty", "unit_price")),
            item_sums=tuple(self._item_sums),
            line_numbers=tuple({"units": None} | line_fields),
            counter_ids=np.array([measure.id for measure in counters], np.int64),
            type_slots=type_slots,
            is_counted=is_counted,
            selections=tuple(self._selections),
            counters=tuple(CounterGroup(*key, tuple(terms)) for key, terms in groups.items()),
            distincts=distincts,
        )

    def _is_of_type(self, measure: ModelMeasure) -> bool:
        """Whether it counts every event of a type, in all dimensions; by source, too, if it is built in."""
        names = {dimension.name for dimension in (*self._whole, *self._by_line)}
        return bool(measure.event_type) and measure.id < FIRST_OWN_ID and names <= measure.scopes

    def _distincts(self) -> tuple[DistinctGroup, ...]:
        groups: dict[tuple[int, frozenset[int], frozenset[int]], list[tuple[int, str]]] = {}
        for measure in self._measures:
            if measure.kind is MeasureKind.DISTINCT:
                key = self._selection(measure), _indexes(self._whole, measure), _indexes(self._by_line, measure)
                groups.setdefault(key, []).append((measure.id, measure.field))
        return tuple(DistinctGroup(*key, tuple(terms)) for key, terms in groups.items())

    def _use(self, name: str) -> None:
        """Read a field as numbers."""
        if name in self._fields.of_items and name not in self._fields.of_event:
            self._item_numbers[name] = self._item_sums[name] = None
        elif name and name not in ALWAYS and self._fields.of_event[name].type is not FieldType.LABEL:
            self._numbers[name] = None

    def _selection(self, measure: ModelMeasure) -> int:
        where = tuple(map(self._condition, measure.where))
        given = measure.field
        if given in ALWAYS or given not in self._fields.of_event:
            given = ""
        elif measure.kind is MeasureKind.COUNT and self._fields.of_event[given].type is FieldType.LABEL:
            where, given = (*where, self._condition(FieldCondition(given, frozenset({""}), negated=True))), ""
        selection = Selection(frozenset(measure.types), given, where)
        return self._selections.setdefault(selection, len(self._selections))

    def _condition(self, entry: FieldCondition) -> RowCondition:
        found = self._fields.of_event.get(entry.field)
        fits_false = ("false" in entry.values) != entry.negated
        is_flag = found is not None and found.type is FieldType.FLAG
        absent_fits = fits_false if is_flag else ("" in entry.values) != entry.negated
        for dimension in self._whole:
            is_field = dimension.kind is DimensionKind.FIELD and dimension.field == entry.field
            if is_field or (found is None and dimension.name == entry.field):
                labels = tuple(sorted(entry.values - {""}))
                return RowCondition(dimension.name, True, labels, (), entry.negated, absent_fits)
        assert found is not None
        self._use(entry.field)
        if found.type is FieldType.LABEL:
            codes = self._codes.setdefault(entry.field, {None: 0, "": 0})
            for value in sorted(entry.values):
                codes.setdefault(value, len(codes))
            numbers: Iterable[int] = map(codes.__getitem__, entry.values)
        elif is_flag:
            numbers = (int(value == "true") for value in entry.values)
        else:
            numbers, absent_fits = map(int, entry.values), entry.negated
        return RowCondition(entry.field, False, (), tuple(sorted(numbers)), entry.negated, absent_fits)


def _indexes(dimensions: Sequence[Dimension], measure: ModelMeasure) -> frozenset[int]:
    return frozenset(i for i, dimension in enumerate(dimensions) if dimension.name in measure.scopes)
