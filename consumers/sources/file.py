"""The file of sources (`docs/sources.md`): its models, and reading it with the line of every error."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from consumers.contract.own_fields import NO_OWN_FIELDS, OwnFields
from consumers.promotions.yaml_lines import FileError
from consumers.sources.paths import parse_path
from consumers.times import parse_duration
from consumers.topics import Topic
from consumers.yaml_models import ModelFault, YamlModelError, read_model

HEADER_PREFIX = "header:"
"""In `when`: the name of a header follows, instead of a path."""
EXTRACTORS = ("path", "value", "join", "header", "record", "each")
"""The fields of which a field map has exactly one."""
MOST_EXPONENT = 4
"""The most decimal places that a currency has."""
REGISTRY_FORMATS = ("avro", "protobuf")
"""Formats of which every message names its schema in a registry."""
_ENTRIES = {
    "when": "write a value, a list of values, or {present: false} for one that is absent",
    "fields": "write where its value comes from, or remove it",
    "map": 'write a value, or "" to leave the field out',
}
_FUNCTION = re.compile(r"[\w.]+:[\w.]+")
_URL = re.compile(r"https?://[^/?#\s]+(/[^?#\s]*)?", re.ASCII)

Entries = TypeVar("Entries", bound=Sized)


class SourceFileModel(BaseModel):
    """A part of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def _check_path(text: str) -> str:
    parse_path(text)
    return text


def _check_condition_path(text: str) -> str:
    if text == HEADER_PREFIX:
        raise ValueError("the header has no name: write header:NAME")
    return text if text.startswith(HEADER_PREFIX) else _check_path(text)


def _check_function(text: str) -> str:
    if not _FUNCTION.fullmatch(text):
        raise ValueError("is not a function: write MODULE:FUNCTION")
    return text


def _check_duration(text: str) -> str:
    parse_duration(text)
    return text


def _check_url(text: str) -> str:
    if "@" in text:
        raise ValueError("the URL has a user or password: write `user` and `password_file`")
    if not _URL.fullmatch(text):
        raise ValueError("is not a URL: write https://HOST:PORT")
    return text


def _listed(given: object) -> object:
    """A single condition value as a list of one."""
    return {"one_of": [given]} if isinstance(given, str) else {"one_of": given} if isinstance(given, list) else given


def _path_as_map(given: object) -> object:
    """A path in short form."""
    return {"path": given} if isinstance(given, str) else given


def _check_some(given: Entries) -> Entries:
    if not given:
        raise ValueError("the list is empty: write at least one entry")
    return given


NotEmpty = AfterValidator(_check_some)
"""At least one entry; unlike a minimum length it is not checked while entries are invalid."""
PathText = Annotated[str, AfterValidator(_check_path)]
TimeFormat = Literal["iso", "s", "ms", "us"]
ConditionPath = Annotated[str, AfterValidator(_check_condition_path)]


class ValueCondition(SourceFileModel):
    """What a value must meet; several conditions must all hold. In short form a value, or a list of them."""

    one_of: Annotated[tuple[str, ...], NotEmpty] | None = None
    """One of these; numbers and booleans are compared as text."""
    none_of: Annotated[tuple[str, ...], NotEmpty] | None = None
    """None of these; an absent value is none of them."""
    above: float | None = None
    below: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    present: bool | None = None
    """true: neither absent, null nor an empty text; false: one of these."""
    within: Annotated[str, AfterValidator(_check_duration)] | None = None
    """The value, a time, is at most this long before that of `of`: a message that repeats an old state is no event."""
    of: PathText | None = None
    """Path of the time that `within` compares with."""
    time: TimeFormat = "iso"
    """The format of both times."""
    zone: str = "UTC"
    """IANA time zone of ISO times without an offset."""

    @model_validator(mode="after")
    def _is_some(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("the condition is empty: write a list of values, or {above: 0}, or {present: true}")
        if (self.within is None) != (self.of is None):
            raise ValueError("`within` and `of` belong together: write both")
        return self


_ShortCondition = ValueCondition | str | list[str]
Conditions = dict[
    ConditionPath, Annotated[ValueCondition, BeforeValidator(_listed, json_schema_input_type=_ShortCondition)]
]
"""All must hold."""


class FieldMap(SourceFileModel):
    """Where the value of a field comes from: exactly one of path, value, join, header, record, each."""

    path: PathText | None = None
    """Path in the message, or in the entry of `each`."""
    value: str | None = None
    """A constant."""
    join: Annotated[tuple[ShortFieldMap, ...], NotEmpty] | None = None
    """Several values joined to a text; absent if one of them is."""
    with_: str = Field("/", alias="with")
    """The text between the values of `join`."""
    header: str | None = None
    """The name of a header of the message, or of an attribute of its envelope."""
    record: bool | None = None
    """true: topic, partition and offset of the message."""
    each: PathText | None = None
    """Path of a list: `fields` makes an item of each entry, `sum` adds up a number of each entry. An object counts as a
    list of one."""

    or_: Annotated[
        tuple[ShortFieldMap, ...] | None, BeforeValidator(lambda given: [given] if isinstance(given, str) else given)
    ] = Field(None, alias="or")
    """Alternatives for an absent value, in order."""
    map: Annotated[dict[str, str], NotEmpty] | None = None
    """The value for each value found."""
    else_: str | None = Field(None, alias="else")
    """The value for those that `map` does not list; an empty text leaves the field out. Without it they are refused."""
    time: TimeFormat | None = None
    """The format of a time; default: ms."""
    zone: str | None = None
    """IANA time zone of ISO times without an offset."""
    money: Literal["major", "minor"] | None = None
    """The unit of money; default: minor, such as cents."""
    round: bool = False
    """true: round money to the minor unit, half up, instead of refusing excess digits."""
    when: Conditions | None = None
    """Which entries of `each` count."""
    fields: dict[str, FieldMap] | None = None
    """The fields of each item."""
    sum: ShortFieldMap | None = None
    """The number to add up."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        given = [name for name in EXTRACTORS if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(f"write exactly one of {', '.join(EXTRACTORS)}; found {found}")
        if self.header == "":
            raise ValueError("`header` is empty: write the name of a header")
        if self.record is False:
            raise ValueError("write `record: true`, or another origin of the value")
        if self.else_ is not None and self.map is None:
            raise ValueError("`else` needs `map`")
        if "with_" in self.model_fields_set and self.join is None:
            raise ValueError("`with` needs `join`")
        if self.round and self.money != "major":
            raise ValueError("`round` needs `money: major`")
        if self.zone is not None and self.time != "iso":
            raise ValueError("`zone` needs `time: iso`")
        if self.each is None and (self.fields or self.sum or self.when):
            raise ValueError("`fields`, `sum` and `when` need `each`")
        if self.each is not None and (self.fields is None) == (self.sum is None):
            raise ValueError("`each` needs either `fields` or `sum`")
        return self


ShortFieldMap = Annotated[FieldMap, BeforeValidator(_path_as_map, json_schema_input_type=FieldMap | str)]
"""A field map, or the text of its path."""


class EventMap(SourceFileModel):
    """An event that a message makes."""

    to: Literal["clicks", "orders", "logistics"]
    """The topic of the contract."""
    each: PathText | None = None
    """Path of a list: one event per entry. Paths are then those of the entry; a leading `/` means the message."""
    when: Conditions | None = None
    """The message, or the entry, makes the event if all hold."""
    fields: dict[str, FieldMap]
    """# <field of the contract: where its value comes from>"""


class SourceMap(SourceFileModel):
    """A topic in the shop's own format."""

    topic: Annotated[str, Field(min_length=1)]
    """Its name on the broker."""
    format: Literal["json", "avro", "protobuf", "json-schema"] = "json"
    """avro and protobuf: after the frame of a schema registry, by the schema of their writer. json-schema: JSON after
    this frame, without a check by its schema."""
    envelope: Literal["none", "cloudevents", "debezium", "connect"] | None = None
    """Default: recognized message by message."""
    parse_json: tuple[PathText, ...] = ()
    """Paths of texts that hold JSON; paths of fields continue inside them."""
    events: Annotated[tuple[EventMap, ...], NotEmpty] | None = None
    """A message makes an event for each of these that matches."""
    python: Annotated[str, AfterValidator(_check_function)] | None = None
    """A function `module:name` in place of `events`: (value, headers) -> iterable of events as dicts."""
    to: tuple[Literal["clicks", "orders", "logistics"], ...] = ()
    """The topics of the contract that a function makes events of; default: all."""
    none_is_fine: bool = False
    """A message that makes no event is passed over, instead of refused as `unmapped`."""

    @model_validator(mode="after")
    def _has_one_map(self) -> Self:
        if (self.events is None) == (self.python is None):
            raise ValueError("write either `events` or `python`")
        if self.events is not None and self.to:
            raise ValueError("`to` beside `events`: write it in each event")
        if self.python is not None and (self.parse_json or self.envelope or self.format != "json"):
            raise ValueError("a function gets the message as it is: remove format, envelope and parse_json")
        return self

    @property
    def feeds(self) -> tuple[Topic, ...]:
        """The topics of the contract that it makes events of."""
        named = {event.to for event in self.events} if self.events is not None else set(self.to)
        return tuple(topic for topic in (Topic.CLICKS, Topic.ORDERS, Topic.LOGISTICS) if topic in named or not named)


class RegistryAddress(SourceFileModel):
    """A schema registry that speaks Confluent's REST interface."""

    url: Annotated[str, AfterValidator(_check_url)]
    user: str = ""
    password_file: str = ""
    """Path of a file with the user's password."""
    ca_file: str = ""
    """PEM file of the certificate authorities to trust; default: those of this machine."""
    cert_file: str = ""
    """PEM file of the client certificate with its chain."""
    key_file: str = ""
    """PEM file of the client certificate's key, not encrypted; default: it is in `cert_file`."""

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if bool(self.user) != bool(self.password_file):
            raise ValueError("`user` and `password_file` belong together: write both")
        if self.key_file and not self.cert_file:
            raise ValueError("`key_file` needs `cert_file`")
        return self


class SourceFile(SourceFileModel):
    """The whole file."""

    version: Literal["1"]
    registry: RegistryAddress | None = None
    """Where the schemas of avro and protobuf messages are."""
    sources: Annotated[tuple[SourceMap, ...], NotEmpty]


FieldMap.model_rebuild()


@dataclass(frozen=True, slots=True)
class ReadSources:
    """The content of a file; `file` is None if there are errors."""

    file: SourceFile | None
    errors: tuple[FileError, ...] = ()


def read_sources(text: str, own: OwnFields = NO_OWN_FIELDS, *, exponent: int = MOST_EXPONENT) -> ReadSources:
    """Read the sources of a file; errors are returned, not raised.

    `own`: fields that a model adds. `exponent`: decimal places of money in constants.
    """
    from consumers.sources.checks import check_sources

    def check(file: SourceFile) -> Iterator[ModelFault]:
        return check_sources(file, own, exponent)

    try:
        file = read_model(text, SourceFile, items="sources", entries=_ENTRIES, check=check)
    except YamlModelError as error:
        return ReadSources(None, error.errors)
    return ReadSources(file)


def format_source_errors(errors: Iterable[FileError], name: str) -> list[str]:
    """Errors as `file:line: message`."""
    return [f"{name}:{error.line}: {error.message}" for error in errors]
