"""Compiles the definitions of a file into a `Model`, on top of another one, and finds the faults of its names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum, auto
from types import MappingProxyType
from typing import TYPE_CHECKING

from consumers.contract.own_fields import VERSION_2_FIELDS, FieldType
from consumers.sources.targets import FIELD_KINDS as CONTRACT_FIELDS
from consumers.topics import EVENT_TOPICS, Topic
from streams.dictionary.definitions import (
    DimensionDefinition,
    MeasureDefinition,
    MetricDefinition,
    ModelDefinitions,
    StoredName,
    StoredNames,
)
from streams.dictionary.dimensions import compile_crossing, compile_dimension
from streams.dictionary.faults import DependentError, UnfitError
from streams.dictionary.fields import fields_with
from streams.dictionary.measures import compile_measure
from streams.dictionary.metrics import MetricCompiler
from streams.dictionary.names import is_reserved
from streams.dictionary.types import Dimension, DimensionKind, MeasureKind, Metric, Model, ModelMeasure

if TYPE_CHECKING:
    from consumers.yaml_models import ModelFault

NOTHING = ModelDefinitions()

FIRST_OWN_ID, FIRST_OWN_DIMENSION_ID, N_IDS = 128, 192, 256
"""Ids of own measures (for each `IdGroup`) and of own dimensions; smaller ones are built in."""
MAX_OWN_DIMENSIONS = N_IDS - FIRST_OWN_DIMENSION_ID
MAX_OWN_COUNTERS = N_IDS - FIRST_OWN_ID
MAX_OWN_OTHERS = 64
"""Own measures of each `IdGroup` but counters."""
MAX_OWN_METRICS = 128
MAX_OWN_FIELDS = 64
"""Of a topic: every event takes time for each."""
NOT_COUNTED_MS = 2**62
"""`since_ms` of a name that no worker counts yet."""


class IdGroup(Enum):
    """Measures whose ids are distinct."""

    COUNTER = auto()
    DISTINCT = auto()
    EXTREME = auto()
    QUANTILES = auto()

    @classmethod
    def of(cls, kind: MeasureKind) -> IdGroup:
        """The group of a kind of measure."""
        if kind.is_counter:
            return cls.COUNTER
        return cls[kind.name] if kind in (MeasureKind.DISTINCT, MeasureKind.QUANTILES) else cls.EXTREME


class ModelCompiler:
    """Compiles one file on top of the definitions of `base`, at once: `model` is complete only without `faults`.

    `exponent`: decimal places of money. `names`: ids and times of a store; a name that it does not have is not counted.
    Without them, ids follow the order of the file, and everything is counted from the beginning.
    """

    def __init__(
        self,
        file: ModelDefinitions,
        base: ModelDefinitions = NOTHING,
        *,
        exponent: int = 2,
        names: StoredNames | None = None,
    ) -> None:
        self.faults: list[ModelFault] = []
        self._names = names
        self._files = (base, file)
        self._built_in = {measure.name for measure in base.measures} | {metric.name for metric in base.metrics}
        self._exponent = exponent
        declared: dict[Topic, dict[str, FieldType]] = {
            Topic(topic): dict(types) for topic, types in file.fields.items()
        }
        self._check_fields(declared)
        self._fields = fields_with(
            {topic: {**VERSION_2_FIELDS.get(topic, {}), **declared.get(topic, {})} for topic in EVENT_TOPICS}
        )
        self._dimensions: dict[str, Dimension] = {}
        self._broken_dimensions = {entry.name for entry in (*base.dimensions, *file.dimensions)}
        for definitions in self._files:
            self._compile_dimensions(definitions)
        self._taken = dict.fromkeys(self._built_in, "a built-in number")
        self._measures: dict[str, ModelMeasure] = {}
        self._broken: set[str] = set()
        for definitions in self._files:
            self._compile_measures(definitions)
        metrics = self._compile_metrics()
        self.model = Model(
            MappingProxyType(self._dimensions),
            MappingProxyType(self._measures),
            MappingProxyType(metrics),
            own=frozenset((self._measures.keys() | metrics.keys()) - self._built_in),
            own_fields=MappingProxyType(self._fields_read(declared)),
        )

    def _check_fields(self, own: Mapping[Topic, dict[str, FieldType]]) -> None:
        contract = fields_with({})
        for topic, types in own.items():
            if len(types) > MAX_OWN_FIELDS:
                message = f"there are more than {MAX_OWN_FIELDS} own fields of {topic}: remove some"
                self.faults.append((("fields", topic.value), message))
            for name in list(types):
                if contract[topic].find(name) is not None or name in CONTRACT_FIELDS[topic]:
                    message = f"events of {topic} have a field `{name}` already: remove it, or rename your own"
                    self.faults.append((("fields", topic.value, name), message))
                    del types[name]
                    continue
                standard = VERSION_2_FIELDS.get(topic, {}).get(name, types[name])
                if standard is not types[name]:
                    message = f"`{name}` of {topic} is a {standard} in the contract: write that, or rename your own"
                    self.faults.append((("fields", topic.value, name), message))
                    types[name] = standard

    def _fields_read(
        self, declared: Mapping[Topic, Mapping[str, FieldType]]
    ) -> Mapping[Topic, Mapping[str, FieldType]]:
        """The declared fields, and those of the contract's version 2 that dimensions or measures name."""
        named = {(topic, entry.field) for entry in self._dimensions.values() for topic in entry.topics}
        for measure in self._measures.values():
            named |= {(measure.topic, name) for name in (measure.field, *(test.field for test in measure.where))}
        read = {}
        for topic in EVENT_TOPICS:
            types = {name: type_ for name, type_ in VERSION_2_FIELDS.get(topic, {}).items() if (topic, name) in named}
            if types := {**types, **declared.get(topic, {})}:
                read[topic] = types
        return read

    def _compile_dimensions(self, file: ModelDefinitions) -> None:
        """Crossings last, so that their parts may follow them in the file."""
        entries = sorted(enumerate(file.dimensions), key=lambda entry: entry[1].kind is DimensionKind.CROSS)
        for i, entry in entries:
            with self._faults_of("dimensions", i):
                if entry.id is None and i >= MAX_OWN_DIMENSIONS:
                    raise UnfitError(f"there are more than {MAX_OWN_DIMENSIONS} own dimensions: remove some")
                stored = None if self._names is None else self._names.dimensions
                dimension_id, since_ms = _id_and_since(entry, FIRST_OWN_DIMENSION_ID + i, stored)
                known, broken = self._dimensions, self._broken_dimensions
                if entry.kind is DimensionKind.CROSS:
                    compiled = compile_crossing(entry, dimension_id, known, broken, since_ms)
                else:
                    compiled = compile_dimension(entry, dimension_id, known, self._fields, self._exponent, since_ms)
                self._dimensions[entry.name] = compiled
                self._broken_dimensions.discard(entry.name)

    def _compile_measures(self, file: ModelDefinitions) -> None:
        counts: dict[IdGroup, int] = dict.fromkeys(IdGroup, 0)
        for i, entry in enumerate(file.measures):
            self._broken.add(entry.name)
            with self._faults_of("measures", i):
                group = IdGroup.of(entry.kind)
                counts[group] += 1
                limit = MAX_OWN_COUNTERS if group is IdGroup.COUNTER else MAX_OWN_OTHERS
                if entry.id is None and counts[group] > limit:
                    raise UnfitError(f"there are more than {limit} own measures of this kind: remove some")
                stored = None if self._names is None else self._names.measures
                measure_id, since_ms = _id_and_since(entry, FIRST_OWN_ID + counts[group] - 1, stored)
                measure = compile_measure(
                    entry, measure_id, self._dimensions, self._broken_dimensions, self._fields, self._exponent, since_ms
                )
                for name in measure.answers:
                    self._take(name, file)
                self._measures[entry.name] = measure
                self._broken.discard(entry.name)

    def _compile_metrics(self) -> Mapping[str, Metric]:
        entries: dict[str, tuple[int, MetricDefinition]] = {}
        for file in self._files:
            for i, entry in enumerate(file.metrics):
                with self._faults_of("metrics", i):
                    if i >= MAX_OWN_METRICS:
                        raise UnfitError(f"there are more than {MAX_OWN_METRICS} own metrics: remove some")
                    self._take(entry.name, file)
                    entries[entry.name] = i, entry
        metrics = MetricCompiler(self._measures, self._dimensions, entries, self._broken)
        for name, (i, _entry) in entries.items():
            with self._faults_of("metrics", i):
                metrics.get(name)
        return {name: metrics.compiled[name] for name in entries if name in metrics.compiled}

    def _take(self, name: str, file: ModelDefinitions) -> None:
        """Raise UnfitError if another number has the name of an own one."""
        if file is self._files[0]:
            return
        if is_reserved(name):
            raise UnfitError(f"salepulse has a metric `salepulse_{name}` already: choose another name", "name")
        if name in self._taken:
            raise UnfitError(f"`{name}` is the name of {self._taken[name]} already: choose another name", "name")
        self._taken[name] = "another number"

    @contextmanager
    def _faults_of(self, section: str, i: int) -> Iterator[None]:
        """Collect the fault of an entry; one that follows from another's fault is not reported."""
        try:
            yield
        except UnfitError as error:
            self.faults.append(((section, i, *error.at), str(error)))
        except DependentError:
            pass


def _id_and_since(
    entry: DimensionDefinition | MeasureDefinition, unassigned_id: int, stored: Mapping[str, StoredName] | None
) -> tuple[int, int | None]:
    """Id and `since_ms` of an entry; `unassigned_id`: of an own one without `stored` names."""
    if stored is None:
        return (unassigned_id if entry.id is None else entry.id), None
    if entry.name in stored:
        return stored[entry.name].id, stored[entry.name].since_ms
    if entry.id is None:
        raise UnfitError(f"the store has no id of `{entry.name}`", "name")
    return entry.id, NOT_COUNTED_MS
