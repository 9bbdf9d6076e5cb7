"""The file of a model: its parts as written. `streams.dictionary.compiling` checks what they name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import msgspec
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from consumers.contract.own_fields import FieldType
from consumers.promotions.yaml_lines import FileError
from consumers.yaml_models import ModelFault, YamlModelError, read_model
from streams.dictionary.builtin import DEFINITIONS
from streams.dictionary.compiling import ModelCompiler
from streams.dictionary.definitions import DIMENSION_KINDS, ModelDefinitions
from streams.dictionary.types import MeasureKind, Model, Unit

MAX_PARTS = 4
MAX_WHERE_VALUES = 32

_NAME = r"^[a-z][a-z0-9_]{0,47}$"
_NUMBER = r"^-?[0-9]{1,15}(\.[0-9]{1,6})?$"


def _checked_name(text: str) -> str:
    if not re.fullmatch(_NAME, text):
        raise ValueError("write lower-case letters, digits and `_`, a letter first, at most 48 characters")
    return text


def _checked_number(text: str) -> str:
    if not re.fullmatch(_NUMBER, text):
        raise ValueError("write a number such as 100 or 99.50, at most 15 digits before and 6 after the point")
    return text


Name = Annotated[str, AfterValidator(_checked_name), WithJsonSchema({"type": "string", "pattern": _NAME})]


class ModelFilePart(BaseModel):
    """A part of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def _listed(given: object) -> object:
    return [given] if isinstance(given, str) else given


def _as_condition(given: object) -> object:
    """A value, or a list of values, as a condition."""
    return {"one_of": given} if isinstance(given, str | list) else given


Texts = Annotated[
    tuple[str, ...],
    BeforeValidator(_listed, json_schema_input_type=str | list[str]),
    Field(min_length=1, max_length=MAX_WHERE_VALUES),
]
"""One text or a list of them."""
NumberText = Annotated[str, AfterValidator(_checked_number), WithJsonSchema({"type": "string", "pattern": _NUMBER})]
"""A decimal as written, so that it is exact."""


class WhereEntry(ModelFilePart):
    """Which values fit. In short form a value or a list of values."""

    one_of: Texts | None = None
    """One of these."""
    not_: Texts | None = Field(None, alias="not")
    """None of these; an absent value is the empty text."""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.one_of is None) == (self.not_ is None):
            raise ValueError("write a value, a list of values, or {not: a value or a list}")
        return self


Where = dict[
    str, Annotated[WhereEntry, BeforeValidator(_as_condition, json_schema_input_type=WhereEntry | str | list[str])]
]
"""# <field or dimension: the values that fit>; all must hold."""


class DimensionEntry(ModelFilePart):
    """A dimension: exactly one of field, bands, clock, cross."""

    name: Name
    field: str | None = None
    """A label or flag of events, or of the items of orders; the dimension exists on every topic that has it."""
    bands: str | None = None
    """A number of events, or of the items of orders, whose band is the value."""
    edges: tuple[NumberText, ...] = ()
    """Of `bands`: the lower bound of each band, ascending; money in major units, such as euros. The last band is open
    above; a smaller number has no value."""
    labels: tuple[Annotated[str, Field(min_length=1, max_length=128)], ...] = ()
    """Of `bands`: the value of each band."""
    clock: Literal["hour"] | None = None
    """hour: the local hour of event time, 0 to 23."""
    cross: Annotated[tuple[str, ...], Field(min_length=2, max_length=MAX_PARTS)] | None = None
    """Names of dimensions whose values are joined by `|`."""
    distincts: bool = False
    """true: with distinct counts, which cost memory for each value."""

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        given = [kind.value for kind in DIMENSION_KINDS if getattr(self, kind.value) is not None]
        if len(given) != 1:
            raise ValueError(f"write exactly one of field, bands, clock, cross; found {' and '.join(given) or 'none'}")
        if (self.bands is None) != (not self.edges) or len(self.edges) != len(self.labels):
            raise ValueError("`bands` needs `edges` and as many `labels`, and nothing else has them")
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("two bands have one label: rename one")
        return self


class MeasureEntry(ModelFilePart):
    """A measure: exactly one of count, sum, distinct, min, max, quantiles."""

    name: Name
    count: Texts | None = None
    """The event types, or the topic, that it counts."""
    sum: str | None = None
    """The number that it adds up."""
    distinct: str | None = None
    """The label whose distinct values it counts, with an error of at most 2 %, or 1 if that is more."""
    min: str | None = None
    """The number whose least value it answers, in whole minutes."""
    max: str | None = None
    """The number whose greatest value it answers, in whole minutes."""
    quantiles: str | None = None
    """The number whose quantiles it answers as NAME_p50, _p90, _p95 and _p99, with an error of at most 1 %."""
    of: Texts | None = None
    """The event types, or the topic, that it is computed from."""
    where: Where = {}
    """Which of these events, by field or dimension: a value, a list of values, or `{not: …}`; all must hold."""
    with_: str | None = Field(None, alias="with")
    """Of `count`: only events that have this field."""
    scopes: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """The dimensions that have it; default: each that fits."""
    unit: Unit | None = None
    """Default: that of the number."""
    about: str = ""
    """What it counts, in words."""

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        given = [kind.value for kind in MeasureKind if getattr(self, kind.value) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(f"write exactly one of {', '.join(MeasureKind)}; found {found}")
        if (self.count is None) != (self.of is not None):
            raise ValueError("`count` names the events itself; the others need `of`: an event type, a list, or a topic")
        if self.with_ is not None and self.count is None:
            raise ValueError("`with` needs `count`")
        return self


class MetricEntry(ModelFilePart):
    """A number computed from measures and other metrics."""

    name: Name
    formula: str
    """Names, integers, decimals, `+ - * /` and brackets; over 0 is null."""
    unit: Unit | None = None
    """Default: ratio; of a sum of numbers with one unit, that unit."""
    good: Literal["up", "down"] | None = None
    """The direction that is good for the shop; it colours dashboards."""
    scopes: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """The dimensions that have it; default: those that have all its numbers."""
    about: str = ""
    """The formula in words."""


class ModelFile(ModelFilePart):
    """The whole file."""

    version: Literal["1"]
    """1, the version of the format."""
    fields: dict[Literal["clicks", "orders", "logistics"], dict[Name, FieldType]] = {}
    """Own fields of events: for each topic names and types."""
    dimensions: tuple[DimensionEntry, ...] = ()
    """What numbers can be split by."""
    measures: tuple[MeasureEntry, ...] = ()
    """Numbers that are counted from events."""
    metrics: tuple[MetricEntry, ...] = ()
    """Numbers that are computed from others."""


def definitions_of(file: ModelFile) -> ModelDefinitions:
    """What the file declares."""
    return msgspec.convert(
        file.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"version"}), ModelDefinitions
    )


@dataclass(frozen=True, slots=True)
class ReadModelFile:
    """The content of a file; `model` and `definitions` are None if there are errors."""

    model: Model | None
    definitions: ModelDefinitions | None = None
    errors: tuple[FileError, ...] = ()


def read_model_file(text: str, *, exponent: int) -> ReadModelFile:
    """Compile the text of a file on top of the built-in model; errors are returned, not raised.

    `exponent`: decimal places of money.
    """
    compiled: list[tuple[Model, ModelDefinitions]] = []

    def check(file: ModelFile) -> Iterable[ModelFault]:
        definitions = definitions_of(file)
        compiler = ModelCompiler(definitions, DEFINITIONS, exponent=exponent)
        compiled.append((compiler.model, definitions))
        return compiler.faults

    try:
        read_model(text, ModelFile, check=check)
    except YamlModelError as error:
        return ReadModelFile(None, errors=error.errors)
    return ReadModelFile(*compiled[0])
