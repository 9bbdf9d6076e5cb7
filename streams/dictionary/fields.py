"""The fields that dimensions and measures may name: the contract's, a shop's own, and derived ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from consumers.contract.own_fields import FieldType
from consumers.sources.targets import FIELD_KINDS, ITEM_KINDS, FieldKind
from consumers.topics import EVENT_TOPICS, Topic

_TYPES = {FieldKind.LABEL: FieldType.LABEL, FieldKind.BOOLEAN: FieldType.FLAG, FieldKind.MONEY: FieldType.MONEY}
_NUMERIC = frozenset({FieldType.COUNT, FieldType.MONEY, FieldType.MILLISECONDS})


class Field(Struct, frozen=True):
    """A field of a topic's events."""

    name: str
    type: FieldType
    of_items: bool = False
    """Whether the lines of an order have it, not the order."""
    has_line_form: bool = False
    """Whether it has a value per order line."""

    @property
    def is_numeric(self) -> bool:
        """Whether it can be summed."""
        return self.type in _NUMERIC


def _contract(kinds: Mapping[str, FieldKind], *, of_items: bool = False) -> Iterable[Field]:
    for name, kind in kinds.items():
        if kind is FieldKind.INTEGER:
            type_ = FieldType.MILLISECONDS if name.endswith("_ms") else FieldType.COUNT
        elif kind in _TYPES:
            type_ = _TYPES[kind]
        else:
            continue
        yield Field(name, type_, of_items, of_items)


DERIVED: Mapping[Topic, tuple[Field, ...]] = {
    Topic.ORDERS: (
        Field("amount", FieldType.MONEY, has_line_form=True),
        Field("units", FieldType.COUNT, has_line_form=True),
        Field("refund", FieldType.MONEY, has_line_form=True),
    )
}
"""Fields that code computes. `amount`: the order's amount; of a line, qty x unit_price. `units`: sum of qty. `refund`:
refund_amount; of a line, its share by worth."""


class TopicFields(Struct, frozen=True):
    """The fields of one topic's events."""

    of_event: Mapping[str, Field]
    of_items: Mapping[str, Field] = {}

    def find(self, name: str) -> Field | None:
        """The field of the event, else of its items."""
        return self.of_event.get(name) or self.of_items.get(name)

    @property
    def names(self) -> list[str]:
        """Every name."""
        return [*self.of_event, *self.of_items]


def fields_with(own: Mapping[Topic, Mapping[str, FieldType]]) -> Mapping[Topic, TopicFields]:
    """The fields of each topic: the contract's, derived and own ones."""
    fields = {}
    for topic in EVENT_TOPICS:
        added = (Field(name, type_) for name, type_ in own.get(topic, {}).items())
        of_event = {found.name: found for found in (*_contract(FIELD_KINDS[topic]), *DERIVED.get(topic, ()), *added)}
        items = _contract(ITEM_KINDS, of_items=True) if topic is Topic.ORDERS else ()
        fields[topic] = TopicFields(of_event, {found.name: found for found in items})
    return fields


def stored_number(text: str, exponent: int) -> int:
    """A number of a file in stored units, exactly: `exponent` is the number of decimal places, of money.

    Raises:
        ValueError: it is no number, or has more decimal places.

    >>> stored_number("99.50", 2)
    9950
    """
    from decimal import Decimal, InvalidOperation  # the built-in model needs none

    try:
        scaled = Decimal(text).scaleb(exponent)
    except InvalidOperation:
        raise ValueError(f"{text!r} is no number") from None
    if not scaled.is_finite() or scaled != scaled.to_integral_value():
        allowed = f"write at most {exponent} decimal places" if exponent else "write a whole number"
        raise ValueError(f"{text} cannot be counted exactly: {allowed}")
    return int(scaled)
