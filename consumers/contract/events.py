"""The event contract, version 2: the messages that producers write to Kafka, as pydantic models.

These models are the only definition of the events. The fast decoder (`consumers.contract.decoding`) and the JSON
Schemas in `docs/schemas/` (written by `python -m consumers.contract.schemas`) are derived from them.

Rules for every message:

- Unknown fields are ignored.
- null means absent, for required fields too.
- An empty optional label (`OptionalLabel`) is absent; one that is too long is dropped from the event.
- Nothing is coerced: `1.0`, `"1"` and `true` are no integers.
- Money is in integer minor units (cents, fen); times are integer epoch milliseconds, UTC.

Validation of a list stops at its first bad entry (`FirstFault`), which bounds the cost of a bad message. The events of
a topic share one model, so its fields are validated on every type of the topic.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Literal, Self, get_args, get_type_hints
from zoneinfo import available_timezones

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    FailFast,
    Strict,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError, PydanticKnownError

from consumers.contract.rejection_hints import EPOCH_SECONDS, time_hint
from consumers.topics import Topic

MAX_MONEY = 10**15
MAX_COUNT = 10**9
MAX_TS_MS = 16_725_225_600_000
"""The end of the year 2499; rejects microseconds."""
MAX_ITEMS = 1_000
MAX_MESSAGE_BYTES = 2**20
MAX_DEPTH = 32
MAX_LABEL = 128

Label = Annotated[str, MinLen(1), MaxLen(MAX_LABEL)]
"""A required id or label: 1 to 128 characters."""
Currency = Annotated[str, MaxLen(MAX_LABEL), WithJsonSchema({"type": "string", "pattern": "^([A-Z]{3})?$"})]
"""ISO 4217; empty means absent. `consumers.contract.plausibility` compares it with the shop's currency."""
Money = Annotated[int, Ge(0), Le(MAX_MONEY)]
Quantity = Annotated[int, Ge(1), Le(MAX_COUNT)]
Stock = Annotated[int, Ge(0), Le(MAX_COUNT)]
StockChange = Annotated[int, Ge(-MAX_COUNT), Le(MAX_COUNT)]
TimestampMs = Annotated[int, Ge(0), Le(MAX_TS_MS)]
DurationMs = Annotated[int, Ge(0), Le(MAX_TS_MS)]


def _label_or_none(label: str, info: ValidationInfo) -> str | None:
    """The label if it has 1 to 128 characters, else None; an error if the event's type requires the field."""
    if any("\ud800" <= character <= "\udfff" for character in label):
        raise PydanticKnownError("string_unicode")
    if 0 < len(label) <= MAX_LABEL:
        return label
    if info.field_name not in REQUIRED_BY_TYPE.get(info.data.get("type", ""), ()):
        return None
    if label:
        raise PydanticKnownError("string_too_long", {"max_length": MAX_LABEL})
    raise PydanticKnownError("string_too_short", {"min_length": 1})


DROPPABLE = AfterValidator(_label_or_none)
"""Marks a label that is absent, instead of invalid, if it is empty or too long."""
OptionalLabel = Annotated[str, DROPPABLE, WithJsonSchema({"type": "string", "maxLength": MAX_LABEL})] | None
"""An optional label. Empty means absent; a label of more than 128 characters is dropped and counted."""


class FirstFault(FailFast):
    """Stops the validation of a list at its first bad entry. Hashable, as optional lists require."""

    __hash__ = object.__hash__


ClickType = Literal[
    "page_view",
    "product_view",
    "search",
    "add_to_cart",
    "favorite",
    "checkout_start",
    "ad_impression",
    "ad_click",
    "live_enter",
    "live_comment",
]
OrderType = Literal["order_created", "order_paid", "payment_failed", "order_cancelled", "order_refunded"]
LogisticsType = Literal[
    "stock_level",
    "stock_received",
    "stock_adjusted",
    "shipment_dispatched",
    "shipment_delivered",
    "shipment_delayed",
    "return_received",
]

EVENT_TYPES: Mapping[Topic, frozenset[str]] = {
    Topic.CLICKS: frozenset(get_args(ClickType)),
    Topic.ORDERS: frozenset(get_args(OrderType)),
    Topic.LOGISTICS: frozenset(get_args(LogisticsType)),
}
"""The closed set of event types of each topic."""

TOPIC_BY_EVENT_TYPE: Mapping[str, Topic] = {name: topic for topic, names in EVENT_TYPES.items() for name in names}
"""The topic of each event type."""

TIME_FIELDS = frozenset({"ts", "promised_ts", "starts_at", "ends_at"})
MONEY_FIELDS = frozenset(
    {"discount", "shipping_fee", "refund_amount", "cost", "unit_price", "base", "sprint", "challenge"}
)
"""Money fields of all models and their parts, for rejection messages."""

STOCK_TYPES = frozenset({"stock_level", "stock_received", "stock_adjusted"})
"""Logistics events keyed by `sku`; the others are keyed by `order_id`."""

REQUIRED_BY_TYPE: Mapping[str, tuple[str, ...]] = {
    "order_refunded": ("refund_amount",),
    "stock_level": ("sku", "warehouse", "on_hand"),
    "stock_received": ("sku", "warehouse", "qty"),
    "stock_adjusted": ("sku", "warehouse", "delta"),
    "shipment_dispatched": ("order_id",),
    "shipment_delivered": ("order_id",),
    "shipment_delayed": ("order_id",),
    "return_received": ("order_id", "sku", "qty"),
}
"""Fields that are optional on the topic but required on these types."""


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", use_attribute_docstrings=True)


def _require_by_type(event: Click | Order | Logistics) -> None:
    for name in REQUIRED_BY_TYPE.get(event.type, ()):
        if getattr(event, name) is None:
            raise PydanticCustomError("missing", f"`{name}` is required on {event.type}: send it")


class Click(_Model):
    """An event of the topic `clicks`: an action of a visitor or something shown to one. Kafka key: `user_id`."""

    event_id: Label
    """Unique in the topic; only the first event with an id is counted."""
    type: ClickType
    ts: TimestampMs
    """Event time."""
    source: OptionalLabel = None
    """The producer."""
    user_id: Label
    session_id: Label
    sku: OptionalLabel = None
    category: OptionalLabel = None
    channel: OptionalLabel = None
    region: OptionalLabel = None
    promotion_id: OptionalLabel = None
    member: bool | None = None
    device: OptionalLabel = None
    variant: OptionalLabel = None
    """The arm of an A/B test."""
    campaign: OptionalLabel = None
    """UTM campaign."""
    dwell_ms: DurationMs | None = None
    keyword: OptionalLabel = None
    """The search term."""
    ad_unit: OptionalLabel = None
    cost: Money | None = None
    """The shop's cost of an `ad_click`."""
    live_room: OptionalLabel = None
    currency: Currency | None = None
    """ISO 4217 code of `cost`; on an `ad_click` it must be the setting `currency`."""


class OrderItem(_Model):
    """A line of an order."""

    sku: Label
    category: OptionalLabel = None
    qty: Quantity
    unit_price: Money
    cost: Money | None = None


def order_amount(order: Order) -> int:
    """The order's amount in minor units: sum of qty x unit_price, - discount, + shipping_fee. May be negative.

    `order` may also be the decoder's struct.
    """
    amount = (order.shipping_fee or 0) - (order.discount or 0)
    for item in order.items:
        amount += item.qty * item.unit_price
    return amount


class Order(_Model):
    """An event of the topic `orders`: a step in the life of an order. Kafka key: `order_id`.

    Cancelling a paid order sends both `order_cancelled` (its units are available again) and `order_refunded` (its money
    was returned). The amount, `order_amount`, is in 0 to 10^15.
    """

    event_id: Label
    """Unique in the topic; only the first event with an id is counted."""
    type: OrderType
    ts: TimestampMs
    """Event time."""
    source: OptionalLabel = None
    """The producer."""
    order_id: Label
    user_id: Label
    items: Annotated[tuple[OrderItem, ...], Strict(False), FirstFault(), MinLen(1), MaxLen(MAX_ITEMS)]
    """Required on every type."""
    discount: Money | None = None
    """On the whole order."""
    shipping_fee: Money | None = None
    refund_amount: Money | None = None
    """Required on `order_refunded`."""
    channel: OptionalLabel = None
    region: OptionalLabel = None
    promotion_id: OptionalLabel = None
    member: bool | None = None
    first_order: bool | None = None
    variant: OptionalLabel = None
    campaign: OptionalLabel = None
    live_room: OptionalLabel = None
    reason: OptionalLabel = None
    currency: Currency | None = None
    """ISO 4217 code of all money in the order; it must be the setting `currency`."""

    @model_validator(mode="after")
    def _check_type_and_amount(self) -> Self:
        _require_by_type(self)
        amount = order_amount(self)
        if not 0 <= amount <= MAX_MONEY:
            raise PydanticCustomError(
                "out_of_range" if amount > 0 else "negative_amount",
                f"the amount (items - discount + shipping_fee) is {amount}, it must lie in 0..{MAX_MONEY}",
            )
        return self


class Logistics(_Model):
    """An event of the topic `logistics`: stock or a shipment. Kafka key: `sku` for stock events, else `order_id`."""

    event_id: Label
    """Unique in the topic; only the first event with an id is counted."""
    type: LogisticsType
    ts: TimestampMs
    """Event time."""
    source: OptionalLabel = None
    """The producer."""
    order_id: OptionalLabel = None
    sku: OptionalLabel = None
    warehouse: OptionalLabel = None
    on_hand: Stock | None = None
    """On `stock_level`: the count at `ts`, which replaces the known stock."""
    qty: Quantity | None = None
    delta: StockChange | None = None
    """On `stock_adjusted`; signed."""
    carrier: OptionalLabel = None
    region: OptionalLabel = None
    promised_ts: TimestampMs | None = None
    """The promised delivery time."""
    category: OptionalLabel = None
    """Category of the units of a `return_received`."""
    reason: OptionalLabel = None
    """Reason of the return."""

    @model_validator(mode="after")
    def _check_type(self) -> Self:
        _require_by_type(self)
        return self


_timezones = cache(available_timezones)


def _reject_epoch_seconds(moment_ms: int) -> int:
    if moment_ms in EPOCH_SECONDS:
        raise PydanticCustomError("seconds", f"{time_hint(moment_ms)}")
    return moment_ms


MillisecondTimestamp = Annotated[TimestampMs, AfterValidator(_reject_epoch_seconds)]
"""A time that is not epoch seconds. `consumers.contract.plausibility` checks those of events."""


class _Period(_Model):
    starts_at: MillisecondTimestamp
    ends_at: MillisecondTimestamp
    """After `starts_at`; exclusive."""

    @model_validator(mode="after")
    def _check_period(self) -> Self:
        if self.ends_at <= self.starts_at:
            raise PydanticCustomError("out_of_range", "`ends_at` must be after `starts_at`")
        return self


class Phase(_Period):
    """A phase of a promotion: presale, opening, burst, encore."""

    name: Label


class Targets(_Model):
    """Net GMV targets for the promotion's end."""

    base: Money
    sprint: Money
    challenge: Money


class Promotion(_Period):
    """A message of the topic `promotions`: the current definition of a promotion. Kafka key: `promotion_id`.

    The definition with the highest offset applies; a null value deletes it.
    """

    promotion_id: Label
    name: Label
    timezone: Label
    """An IANA name, such as `Asia/Shanghai`."""
    phases: Annotated[tuple[Phase, ...], Strict(False), FirstFault()] | None = None
    targets: Targets | None = None
    skus: Annotated[tuple[Label, ...], Strict(False), FirstFault()] | None = None
    """The SKUs on promotion."""
    baseline: Label | None = None
    """An earlier `promotion_id` to compare with."""

    @model_validator(mode="after")
    def _check_timezone(self) -> Self:
        if self.timezone not in _timezones():
            raise PydanticCustomError(
                "out_of_range", "`timezone` is not an IANA time zone: send a name such as `Asia/Shanghai`"
            )
        return self


EventModel = type[Click] | type[Order] | type[Logistics]

EVENT_MODELS: Mapping[Topic, EventModel] = {Topic.CLICKS: Click, Topic.ORDERS: Order, Topic.LOGISTICS: Logistics}
"""The model of each event topic."""


def _optional_labels(model: type[BaseModel]) -> tuple[str, ...]:
    hints = get_type_hints(model, include_extras=True)
    return tuple(name for name, hint in hints.items() if any(DROPPABLE in get_args(arg) for arg in get_args(hint)))


OPTIONAL_LABELS: Mapping[Topic, tuple[str, ...]] = {
    topic: _optional_labels(model) for topic, model in EVENT_MODELS.items()
}
"""The `OptionalLabel` fields of each topic's events."""
ITEM_LABELS = _optional_labels(OrderItem)
"""The `OptionalLabel` fields of an order's items."""
DROPPABLE_FIELDS: Mapping[Topic, tuple[str, ...]] = {
    topic: (*names, *(f"items.{name}" for name in ITEM_LABELS if topic is Topic.ORDERS))
    for topic, names in OPTIONAL_LABELS.items()
}
"""Their names in `labels_dropped`."""
