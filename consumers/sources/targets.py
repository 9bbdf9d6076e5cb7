"""The fields of the contract that maps may fill, derived from its models."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from consumers.contract.events import EVENT_MODELS, MONEY_FIELDS, TIME_FIELDS, OrderItem
from consumers.contract.own_fields import VERSION_2_FIELDS, FieldType, OwnFields
from consumers.topics import Topic


class FieldKind(StrEnum):
    """What a field of the contract holds."""

    LABEL = "label"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    MONEY = "money"
    TIME = "time"
    ITEMS = "items"


def _kind(name: str, annotation: Any) -> FieldKind:
    if name in MONEY_FIELDS:
        return FieldKind.MONEY
    if name in TIME_FIELDS:
        return FieldKind.TIME
    types = _types(annotation)
    if tuple in types:
        return FieldKind.ITEMS
    if bool in types:
        return FieldKind.BOOLEAN
    return FieldKind.INTEGER if int in types else FieldKind.LABEL


def _types(annotation: Any) -> set[Any]:
    """The types in an annotation, without its constraints."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _types(get_args(annotation)[0])
    if origin is tuple:
        return {tuple}
    if args := get_args(annotation):
        return set().union(*(_types(arg) for arg in args)) - {NoneType}
    return {annotation if isinstance(annotation, type) else type(annotation)}


def _kinds(model: type[BaseModel]) -> dict[str, FieldKind]:
    hints = get_type_hints(model, include_extras=True)
    return {name: _kind(name, hints[name]) for name in model.model_fields}


FIELD_KINDS: Mapping[Topic, Mapping[str, FieldKind]] = {topic: _kinds(model) for topic, model in EVENT_MODELS.items()}
"""# <topic: <field of its events: kind>>"""
_OWN_KINDS = {
    FieldType.LABEL: FieldKind.LABEL,
    FieldType.FLAG: FieldKind.BOOLEAN,
    FieldType.COUNT: FieldKind.INTEGER,
    FieldType.MONEY: FieldKind.MONEY,
    FieldType.MILLISECONDS: FieldKind.INTEGER,
}


def field_kinds(topic: Topic, own: OwnFields) -> Mapping[str, FieldKind]:
    """# <field that maps may fill: kind>: those of the topic's events, and those that a model adds

    Fields of the contract's version 2 may always be filled; only a model that names them reads them.
    """
    added = {**VERSION_2_FIELDS.get(topic, {}), **own.get(topic, {})}
    return {**FIELD_KINDS[topic], **{name: _OWN_KINDS[type_] for name, type_ in added.items()}}


ITEM_KINDS: Mapping[str, FieldKind] = _kinds(OrderItem)
"""# <field of an order's items: kind>"""


def required_fields(model: type[BaseModel]) -> tuple[str, ...]:
    """The fields that every event of the model has."""
    return tuple(name for name, field in model.model_fields.items() if field.is_required())
