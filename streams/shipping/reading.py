"""Facts of orders from decoded events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from xxhash import xxh3_64_intdigest

from consumers.events import order_amount
from streams.shipping.facts import UNKNOWN_MS, Creation, Fact, Facts, OrderLabels, Part, Payment, Shipment

FACT_TYPES = frozenset(
    {
        *("order_created", "order_paid", "order_cancelled", "order_refunded"),
        *("shipment_dispatched", "shipment_delivered", "return_received"),
    }
)
"""The types of event that tell something of an order."""
LABEL_FIELDS = ("region", "channel", "promotion_id", "member", "variant", "campaign", "live_room")
"""The fields that `OrderLabels` are read from, in its order."""


def labels_by_field(fields: Mapping[str, Sequence[Any]]) -> list[tuple[str | bool | None, ...]]:
    """The values of `LABEL_FIELDS` of each event, of events given field by field."""
    return list(zip(*(fields[name] for name in LABEL_FIELDS), strict=True))


def creations(
    fields: Mapping[str, Sequence[Any]],
    labels: Sequence[tuple[str | bool | None, ...]],
    places: Sequence[int],
) -> list[Fact]:
    """What the `order_created` events at these places tell; `labels`: see `labels_by_field`."""
    ts_ms, event_ids = _at(fields["ts"], places), _at(fields["event_id"], places)
    return list(map(Creation, ts_ms, event_ids, map(_labels, _at(labels, places))))


def payments(
    fields: Mapping[str, Sequence[Any]],
    labels: Sequence[tuple[str | bool | None, ...]],
    places: Sequence[int],
    amounts: Sequence[int],
    units: Sequence[int],
) -> list[Fact]:
    """The same of `order_paid` events; `amounts` and `units` are those of all events."""
    ts_ms, event_ids = _at(fields["ts"], places), _at(fields["event_id"], places)
    sizes = _at(amounts, places), _at(units, places)
    return list(map(Payment, ts_ms, event_ids, map(_labels, _at(labels, places)), *sizes))


def fact_of(event: Any) -> Fact:
    """What one event of `FACT_TYPES` tells of its order; a struct from `consumers.decoding`."""
    match event.type:
        case "order_created":
            return Creation(event.ts, event.event_id, _labels_of(event))
        case "order_paid":
            return Payment(event.ts, event.event_id, _labels_of(event), order_amount(event), _units(event))
        case "order_cancelled":
            return Facts(cancellations=(Part(event.ts, _hash(event.event_id), _units(event)),))
        case "order_refunded":
            return Facts(refunds=(Part(event.ts, _hash(event.event_id), event.refund_amount),))
        case "shipment_dispatched":
            return Facts(dispatched=_shipment(event))
        case "shipment_delivered":
            return Facts(delivered=_shipment(event))
        case _:
            return Facts(returned_ms=event.ts)


def facts_of(events: Iterable[Any]) -> list[tuple[int, str, Fact]]:
    """(place, order id, fact) of each event that tells something."""
    return [(place, event.order_id, fact_of(event)) for place, event in enumerate(events) if event.type in FACT_TYPES]


def _at(column: Sequence[Any], places: Sequence[int]) -> list[Any]:
    return [column[i] for i in places]


@lru_cache(maxsize=1 << 14)
def _labels(values: tuple[str | bool | None, ...]) -> OrderLabels:
    """Of the values of `LABEL_FIELDS`. The same few come again and again."""
    return OrderLabels(*(_label(value) for value in values))


def _label(value: str | bool | None) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else str(value).lower()


def _labels_of(event: Any) -> OrderLabels:
    return _labels(tuple([getattr(event, name) for name in LABEL_FIELDS]))


def _units(event: Any) -> int:
    return sum([item.qty for item in event.items])


def _hash(event_id: str) -> int:
    return xxh3_64_intdigest(event_id) & 0xFFFFFFFF


def _shipment(event: Any) -> Shipment:
    promised_ms = UNKNOWN_MS if event.promised_ts is None else event.promised_ts
    return Shipment(
        event.ts, event.event_id, promised_ms, event.region or "", event.carrier or "", event.warehouse or ""
    )
