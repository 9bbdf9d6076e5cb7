"""What the events of a topic count, by the model: the parts of the fold that depend on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from consumers.contract.events import EVENT_TYPES
from consumers.topics import Topic
from streams.dictionary.types import FieldCondition, MeasureKind, Model, ModelMeasure
from streams.panes.arrays import Ints

Bools = npt.NDArray[np.bool_]
Fields = Mapping[str, Sequence[Any]]
"""# <field: its value in each event>"""

TYPE_NAMES: Mapping[Topic, tuple[str, ...]] = {topic: tuple(sorted(names)) for topic, names in EVENT_TYPES.items()}
"""The types of each topic; an event's type is an index into this."""
NO_COUNTER = -1
LINE_FORMS = {"amount": "worth", "units": "units", "refund": "refund"}
"""# <field of orders that each order line has, too: its name in `OrderLines`>"""
_READ_AS = {"refund": "refund_amount"}
"""# <derived field: the field of the event that is it>"""
_MADE_BY_COLUMNS = frozenset({"amount", "units"})


@dataclass(frozen=True, slots=True)
class Selection:
    """The events that a measure counts."""

    types: Bools
    """# [type]: whether events of it count"""
    conditions: tuple[str, ...] = ()
    """The numbers of an event (`Columns.numbers`) that must not be 0."""

    def mask(self, types: Ints, numbers: Mapping[str, Ints]) -> Bools:
        """Which events count."""
        mask: Bools = self.types[types]
        for name in self.conditions:
            mask = mask & (numbers[name] != 0)
        return mask


@dataclass(frozen=True, slots=True)
class Term:
    """A counter that the type of an event does not decide alone."""

    slot: int
    """Index of the counter in `Plan.counter_ids`."""
    chosen: Selection
    value: str
    """The number of an event that it sums; empty: it counts events."""
    scope_ids: Bools | None
    """# [dimension id]: whether it counts there; None: wherever events have a value"""


@dataclass(frozen=True, slots=True)
class DistinctTerms:
    """Distinct counts over the same events."""

    chosen: Selection
    fields: Mapping[int, str]
    """# <id of the distinct count: field>"""
    scope_ids: Bools


@dataclass(frozen=True, slots=True)
class Plan:
    """What one topic's events count."""

    counter_ids: Ints
    """The ids of its counters, ascending; the fold sums by their places."""
    slot_of_type: Ints
    """# [type]: place of the counter that every event of it increments, or `NO_COUNTER`"""
    counted: Bools
    """# [type]: whether anything counts events of it"""
    terms: tuple[Term, ...]
    distincts: tuple[DistinctTerms, ...]
    readers: Mapping[str, Callable[[Fields, int], Ints]]
    """# <number of an event: how it is read from a chunk of events>"""

    def read(self, fields: Fields, n: int) -> dict[str, Ints]:
        """The numbers of a chunk of n events."""
        return {name: reader(fields, n) for name, reader in self.readers.items()}


@lru_cache(maxsize=64)
def plan_of(model: Model, topic: Topic) -> Plan:
    """The plan of a topic."""
    folded = [each for each in model.counters if each.topic is topic and not each.source]
    counter_ids = np.array(sorted(each.id for each in folded), np.int64)
    slots = {int(counter_id): slot for slot, counter_id in enumerate(counter_ids)}
    names = TYPE_NAMES[topic]
    slot_of_type = np.full(len(names), NO_COUNTER, np.int64)
    readers: dict[str, Callable[[Fields, int], Ints]] = {}
    terms = []
    for measure in folded:
        if measure.event_type and _is_everywhere(measure, model):
            slot_of_type[names.index(measure.event_type)] = slots[measure.id]
            continue
        summed = measure.field if measure.kind is MeasureKind.SUM else ""
        if summed and summed not in _MADE_BY_COLUMNS:
            readers[summed] = _number_of(_READ_AS.get(summed, summed))
        terms.append(
            Term(
                slots[measure.id],
                _selection(measure, names, readers),
                summed,
                None if _is_everywhere(measure, model) else _scope_ids(measure, model),
            )
        )
    distincts = _distincts(model, topic, names, readers)
    counted = slot_of_type != NO_COUNTER
    for chosen in (*(term.chosen for term in terms), *(each.chosen for each in distincts)):
        counted = counted | chosen.types
    return Plan(counter_ids, slot_of_type, counted, tuple(terms), distincts, readers)


def _distincts(
    model: Model, topic: Topic, names: Sequence[str], readers: dict[str, Callable[[Fields, int], Ints]]
) -> tuple[DistinctTerms, ...]:
    of_same_events: dict[tuple[object, ...], list[ModelMeasure]] = {}
    for measure in model.distincts:
        if measure.topic is topic:
            of_same_events.setdefault((measure.types, measure.where, measure.scopes), []).append(measure)
    return tuple(
        DistinctTerms(
            _selection(measures[0], names, readers),
            {measure.id: measure.field for measure in measures},
            _scope_ids(measures[0], model),
        )
        for measures in of_same_events.values()
    )


def _selection(
    measure: ModelMeasure, names: Sequence[str], readers: dict[str, Callable[[Fields, int], Ints]]
) -> Selection:
    conditions = [*measure.where]
    if measure.kind is MeasureKind.COUNT and measure.field:
        conditions.append(FieldCondition(measure.field, frozenset({""}), negated=True))
    keys = []
    for condition in conditions:
        key = f"{condition.field} {'!=' if condition.negated else '='} {sorted(condition.values)}"
        readers[key] = _fits(condition)
        keys.append(key)
    return Selection(np.array([name in measure.types for name in names]), tuple(keys))


def _is_everywhere(measure: ModelMeasure, model: Model) -> bool:
    """Whether it exists in each dimension in which an event has a value; what lines lack is 0 there."""
    by_order = measure.topic is Topic.ORDERS and measure.kind is MeasureKind.SUM and measure.field not in LINE_FORMS
    return all(
        name in measure.scopes or measure.topic not in dimension.topics or (by_order and dimension.by_line)
        for name, dimension in model.dimensions.items()
    )


def _scope_ids(measure: ModelMeasure, model: Model) -> Bools:
    allowed = np.zeros(256, np.bool_)
    for name in measure.scopes:
        allowed[model.dimensions[name].id] = True
    return allowed


def _number_of(field: str) -> Callable[[Fields, int], Ints]:
    def read(fields: Fields, n: int) -> Ints:
        return or_zero(fields[field], n)

    return read


def _fits(condition: FieldCondition) -> Callable[[Fields, int], Ints]:
    def read(fields: Fields, n: int) -> Ints:
        values = fields[condition.field]
        if values.count(None) == n:
            return np.full(n, int(_fits_value(condition, None)))
        if condition.values == {""}:  # numbers have many values
            given = [value is not None and value != "" for value in values]
            return np.fromiter(given, np.bool_, n).astype(np.int64) ^ (not condition.negated)
        fits = {value: int(_fits_value(condition, value)) for value in set(values)}
        return np.fromiter(map(fits.__getitem__, values), np.int64, n)

    return read


def _fits_value(condition: FieldCondition, value: object) -> bool:
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return (text in condition.values) is not condition.negated


def or_zero(values: Sequence[Any], n: int) -> Ints:
    """Numbers, 0 where absent."""
    missing = values.count(None)
    if missing == n:
        return np.zeros(n, np.int64)
    return np.fromiter([0 if value is None else value for value in values] if missing else values, np.int64, n)
