"""Models as a store keeps them: the definitions of the file, and the id and first event time of every name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace as with_fields

from streams.dictionary.builtin import DEFINITIONS
from streams.dictionary.compiling import (
    FIRST_OWN_DIMENSION_ID,
    FIRST_OWN_ID,
    N_IDS,
    NOT_COUNTED_MS,
    IdGroup,
    ModelCompiler,
)
from streams.dictionary.definitions import ModelDefinitions, StoredName, StoredNames
from streams.dictionary.fingerprint import dimension_hashes, fingerprint_of, measure_hashes
from streams.dictionary.types import Model

if TYPE_CHECKING:
    from consumers.yaml_models import ModelFault


class WireError(Exception):
    """Definitions that this release cannot read."""


class WireModel(Struct, frozen=True, kw_only=True):
    """A model in JSON."""

    fingerprint: str
    exponent: int
    """Decimal places of money, in which the edges of bands are exact."""
    definitions: Raw
    """`ModelDefinitions` of the file, in JSON: releases differ in what they can read."""
    names: StoredNames


@dataclass(frozen=True, slots=True)
class CompiledWireModel:
    """What this release makes of a stored model."""

    model: Model
    """Without the names that have a fault."""
    definitions: ModelDefinitions
    """Of the file."""
    faults: tuple[ModelFault, ...]
    """Names that this release cannot compile, because another one wrote them."""


def to_wire(
    model: Model, definitions: ModelDefinitions, names: StoredNames, *, exponent: int, timezone: str
) -> WireModel:
    """The JSON form of a model and the `definitions` of its file; `timezone`: of the shop."""
    return WireModel(
        fingerprint=fingerprint_of(model, timezone),
        exponent=exponent,
        definitions=Raw(msgspec.json.encode(definitions)),
        names=names,
    )


def from_wire(wire: WireModel, *, generation: int = 0) -> CompiledWireModel:
    """Compile a stored model with its ids and times; built-in names that the store does not have are not counted.

    Raises:
        WireError: this release cannot read the definitions.
    """
    try:
        definitions = msgspec.json.decode(wire.definitions, type=ModelDefinitions)
    except msgspec.DecodeError as error:
        raise WireError(f"this release cannot read the model of the store ({error}): update it") from None
    compiler = ModelCompiler(definitions, DEFINITIONS, exponent=wire.exponent, names=wire.names)
    model = replace(compiler.model, fingerprint=wire.fingerprint, generation=generation)
    return CompiledWireModel(model, definitions, tuple(compiler.faults))


def assign_names(model: Model, timezone: str, former: StoredNames) -> StoredNames:
    """The names of a model: what did not change since `former` keeps its id and time.

    Everything else is `NOT_COUNTED_MS` until `counted_from`, under an id that neither model uses, if there is one.
    """
    dimensions = _assigned(
        {dimension.name: dimension.id for dimension in model.dimensions.values()},
        dimension_hashes(model, timezone),
        former.dimensions,
        FIRST_OWN_DIMENSION_ID,
    )
    measures: dict[str, StoredName] = {}
    hashes, group_of = measure_hashes(model, timezone), {m.name: IdGroup.of(m.kind) for m in model.measures.values()}
    for group in IdGroup:
        ids = {measure.name: measure.id for measure in model.measures.values() if group_of[measure.name] is group}
        measures |= _assigned(ids, hashes, former.measures, FIRST_OWN_ID)
    return StoredNames(dimensions, {name: measures[name] for name in model.measures})


def _assigned(
    ids: Mapping[str, int], hashes: Mapping[str, str], former: Mapping[str, StoredName], first_own_id: int
) -> dict[str, StoredName]:
    """The names of one kind. `ids`: of the built-in ones; those of own names are replaced."""
    kept = {name for name in ids if name in former and former[name].definition == hashes[name]}
    used = {former[name].id for name in kept}
    formerly_used = {stored.id for stored in former.values()}
    assigned = {}
    for name, built_in_id in ids.items():
        if name in kept:
            assigned[name] = former[name]
            continue
        own_id = built_in_id
        if own_id >= first_own_id:
            own_id = _free_id(first_own_id, used, formerly_used)
            used.add(own_id)
        assigned[name] = StoredName(own_id, hashes[name], NOT_COUNTED_MS)
    return assigned


def _free_id(first: int, used: Collection[int], formerly_used: Collection[int]) -> int:
    """An id that is not in use, preferably one that was not."""
    free = [number for number in range(first, N_IDS) if number not in used]
    return next((number for number in free if number not in formerly_used), free[0])


def not_counted(names: StoredNames) -> tuple[str, ...]:
    """The names that wait for `counted_from`; dimensions first."""
    return tuple(name for table in (names.dimensions, names.measures) for name in _waiting(table))


def counted_from(names: StoredNames, since_ms: int | None) -> StoredNames:
    """The names with the event time from which all those are counted that were not; None: from the beginning."""

    def of(table: Mapping[str, StoredName]) -> dict[str, StoredName]:
        waiting = set(_waiting(table))
        return {
            name: with_fields(stored, since_ms=since_ms) if name in waiting else stored
            for name, stored in table.items()
        }

    return StoredNames(of(names.dimensions), of(names.measures))


def _waiting(table: Mapping[str, StoredName]) -> Iterable[str]:
    return (name for name, stored in table.items() if stored.since_ms == NOT_COUNTED_MS)
