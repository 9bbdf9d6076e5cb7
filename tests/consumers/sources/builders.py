"""Sources and messages for tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from consumers.sources.file import SourceFile, read_sources
from consumers.sources.source import CompiledSource
from consumers.unpacking.record import Record

SHOP = """
version: 1
sources:
  - topic: shop.orders
    events:
      - to: orders
        when: {financial_status: [paid]}
        fields:
          type: {value: order_paid}
          event_id: {join: [id, updated_at], with: "/"}
          ts: {path: processed_at, time: iso}
          order_id: {path: id}
          user_id: {path: customer.id, or: [email, {value: guest}]}
          discount: {path: total_discounts, money: major}
          channel: {path: source_name, map: {web: web, pos: store}, else: other}
          items:
            each: line_items
            when: {quantity: {above: 0}}
            fields: {sku: {path: sku, or: [variant_id]}, qty: {path: quantity}, unit_price: {path: price, money: major}}
"""

PAID: dict[str, Any] = {
    "id": 450789469,
    "updated_at": "2026-11-11T00:00:01-05:00",
    "processed_at": "2026-11-11T00:00:00-05:00",
    "financial_status": "paid",
    "customer": {"id": 207},
    "email": "a@example.org",
    "total_discounts": "12.30",
    "source_name": "pos",
    "line_items": [
        {"sku": "a", "quantity": 2, "price": "10.00"},
        {"sku": "", "variant_id": 5, "quantity": 1, "price": 1.5},
        {"sku": "gone", "quantity": 0, "price": "1.00"},
    ],
}
"""A message of `SHOP`."""


def parsed(text: str) -> SourceFile:
    """The file, which has no error."""
    read = read_sources(text)
    assert read.file is not None, read.errors
    return read.file


def compiled(text: str = SHOP, *, exponent: int = 2) -> CompiledSource:
    """The first source of a file."""
    return CompiledSource(parsed(text).sources[0], exponent=exponent)


def record(message: Any, offset: int = 0, headers: Sequence[tuple[str, bytes | None]] = ()) -> Record:
    """A record with a message as JSON; None is a tombstone, bytes are sent as they are."""
    value = message if message is None or isinstance(message, bytes) else json.dumps(message).encode()
    return Record(offset, 1, None, value, headers)


def source_with(fields: str, options: str = "", *, to: str = "clicks", event: str = "") -> str:
    """A file with one source of page views, or of other events, with these fields besides the required ones."""
    required = {
        "clicks": "type: {value: page_view}, user_id: {value: u}, session_id: {value: s}",
        "logistics": "type: {value: shipment_dispatched}, order_id: {value: o}",
        "orders": "type: {value: order_paid}, order_id: {value: o}, user_id: {value: u}",
    }[to]
    return f"""
version: 1
sources:
  - topic: t
    {options}
    events:
      - to: {to}
        {event}
        fields: {{{required}, event_id: {{record: true}}, ts: {{value: 1794373200000}}, {fields}}}
"""


def mapped(text: str, *messages: Any, headers: Sequence[tuple[str, bytes | None]] = ()) -> list[Any]:
    """The events of messages, none of which is rejected."""
    batch = compiled(text).read(0, [record(message, offset, headers) for offset, message in enumerate(messages)])
    assert batch.rejected == []
    return [event for events in batch.events.values() for event in events.events]


def rejection(text: str, message: Any) -> tuple[str, str]:
    """Reason and detail of the rejection of a message."""
    batch = compiled(text).read(0, [record(message)])
    assert not batch.events
    (found,) = batch.rejected
    return str(found.reason), found.detail
