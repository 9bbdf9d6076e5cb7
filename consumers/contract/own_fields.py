"""Fields that are read besides the contract's, because a shop's model names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any

from annotated_types import Ge, Le
from pydantic import BaseModel, Field, create_model

from consumers.contract.events import (
    EVENT_MODELS,
    MAX_COUNT,
    MONEY_FIELDS,
    OPTIONAL_LABELS,
    DurationMs,
    Money,
    OptionalLabel,
)
from consumers.topics import Topic


class FieldType(StrEnum):
    """What a field holds. Every field of a shop's own is optional."""

    LABEL = "label"
    """A text of 1 to 128 characters."""
    FLAG = "flag"
    """true or false; absent is false."""
    COUNT = "count"
    """A whole number from 0 to 10^9."""
    MONEY = "money"
    """A whole number of minor units (cents, fen) from 0 to 10^15."""
    MILLISECONDS = "milliseconds"
    """A whole number from 0 on."""


OwnFields = Mapping[Topic, Mapping[str, FieldType]]
"""# <topic: <field: type>>"""
NO_OWN_FIELDS: OwnFields = MappingProxyType({})

VERSION_2_FIELDS: OwnFields = {
    Topic.CLICKS: {
        "app_version": FieldType.LABEL,
        "coupon": FieldType.LABEL,
        "page": FieldType.LABEL,
        "slot": FieldType.LABEL,
        "load_ms": FieldType.MILLISECONDS,
    },
    Topic.ORDERS: {
        "device": FieldType.LABEL,
        "app_version": FieldType.LABEL,
        "coupon": FieldType.LABEL,
        "payment_type": FieldType.LABEL,
        "error_code": FieldType.LABEL,
    },
}
"""Optional fields of the contract's version 2: a model may name them without declaring them."""
MAX_LOAD_MS = 600_000

_ANNOTATIONS: Mapping[FieldType, Any] = {
    FieldType.LABEL: OptionalLabel,
    FieldType.FLAG: bool | None,
    FieldType.COUNT: Annotated[int, Ge(0), Le(MAX_COUNT)] | None,
    FieldType.MONEY: Money | None,
    FieldType.MILLISECONDS: DurationMs | None,
}
_NARROWER: Mapping[tuple[Topic, str], Any] = {(Topic.CLICKS, "load_ms"): Annotated[int, Ge(0), Le(MAX_LOAD_MS)] | None}
"""Fields of the contract with limits of their own."""
_PREFIX = "own_"
"""Of the attributes of own fields, whose names could be those of pydantic's methods."""


@dataclass(frozen=True, slots=True)
class TopicContract:
    """What the events of a topic must be: the contract's fields, and those added by a model."""

    topic: Topic
    model: type[BaseModel]
    optional_labels: tuple[str, ...]
    """The `OptionalLabel` fields."""
    money_fields: frozenset[str]
    """For rejection messages."""


CONTRACTS: Mapping[Topic, TopicContract] = {
    topic: TopicContract(topic, model, OPTIONAL_LABELS[topic], MONEY_FIELDS) for topic, model in EVENT_MODELS.items()
}
"""The contract of each event topic, without added fields."""


def contract_with(topic: Topic, own: Mapping[str, FieldType]) -> TopicContract:
    """The contract of a topic with added fields, which must not have the names of its own."""
    contract = CONTRACTS[topic]
    added: Any = {
        f"{_PREFIX}{name}": (_NARROWER.get((topic, name), _ANNOTATIONS[type_]), Field(None, alias=name))
        for name, type_ in own.items()
    }
    labels = tuple(name for name, type_ in own.items() if type_ is FieldType.LABEL)
    money = {name for name, type_ in own.items() if type_ is FieldType.MONEY}
    return TopicContract(
        topic,
        create_model(contract.model.__name__, __base__=contract.model, **added),
        (*contract.optional_labels, *labels),
        contract.money_fields | money,
    )
