"""Messages of the real shape of every ready file, with values of our own, and the events that they are.

`messages` makes the originals. `events_of` computes the events of an original as the pages in `docs/sources` describe
them, and shares no code with the product.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any, NamedTuple

from consumers.topics import SourceTopic
from tests.support.own_formats import OwnMessage
from tests.support.ready_formats import ga4, outbox, segment, shopify, snowplow, woocommerce
from tests.support.ready_formats.parts import CURRENCY, START_MS, Json, Original

__all__ = ["CURRENCY", "READY_TOPICS", "START_MS", "Original", "ReadyEvent", "encoded", "events_of", "messages"]

_EVENTS_OF: Mapping[SourceTopic, Callable[[Json, Mapping[str, str]], Iterator[tuple[str, Json]]]] = {
    shopify.ORDERS: shopify.order_events,
    shopify.REFUNDS: shopify.refund_events,
    shopify.FULFILLMENTS: shopify.fulfillment_events,
    woocommerce.ORDERS: woocommerce.order_events,
    ga4.ROWS: ga4.row_events,
    segment.CALLS: segment.call_events,
    snowplow.ENRICHED: snowplow.enriched_events,
    outbox.TABLE: outbox.change_events,
    outbox.ROUTED: outbox.routed_events,
}
READY_TOPICS = tuple(_EVENTS_OF)


class ReadyEvent(NamedTuple):
    """An event that a message is."""

    topic: str
    """Of the contract."""
    fields: Mapping[str, Any]


def messages(rng: Random, count: int) -> Iterator[Original]:
    """Messages of all formats: of so many orders or visits each."""
    for number in range(count):
        yield from shopify.shopify_messages(rng, number)
        yield from woocommerce.woo_messages(rng, number)
        yield from ga4.ga4_messages(rng, number)
        yield from segment.segment_messages(rng, number)
        yield from snowplow.snowplow_messages(rng, number)
        yield from outbox.outbox_messages(rng, number)


def events_of(original: Original) -> list[ReadyEvent]:
    """The events of a message."""
    return [
        ReadyEvent(topic, {name: value for name, value in fields.items() if value not in (None, "")})
        for topic, fields in _EVENTS_OF[original.topic](original.content, original.headers)
    ]


def encoded(original: Original, rng: Random) -> OwnMessage:
    """The message on its topic. Some of Segment are CloudEvents, some of WooCommerce come from Kafka Connect."""
    content, headers = original.content, dict(original.headers)
    if original.topic == segment.CALLS:
        about = {"specversion": "1.0", "id": content["messageId"], "source": "/segment", "type": "call"}
        match rng.randrange(4):
            case 0:
                content = {**about, "data": content}
            case 1:
                content = {**about, "data_base64": b64encode(json.dumps(content).encode()).decode()}
            case 2:
                headers |= {f"ce_{name}": text for name, text in about.items()}
    elif original.topic == woocommerce.ORDERS and rng.random() < 0.5:
        content = {"schema": {"type": "struct", "fields": [], "optional": False}, "payload": content}
    value = json.dumps(content, ensure_ascii=rng.random() < 0.5).encode()
    named = tuple((name, text.encode()) for name, text in headers.items())
    return OwnMessage(original.topic, original.key.encode(), value, named)
