"""Why a message was refused. Bad input is a value here, never an exception through the pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """The closed set of reasons; also the label of `salepulse_rejected_total` and the header of a dead letter."""

    EMPTY = "empty"
    """No value, or an empty one."""
    TOO_LARGE = "too_large"
    """More than 1 MiB."""
    BAD_ENCODING = "bad_encoding"
    """Not UTF-8."""
    BAD_JSON = "bad_json"
    """Not one JSON value: a syntax error, NaN, a number out of range."""
    TOO_DEEP = "too_deep"
    """More than 32 levels of nesting."""
    NOT_AN_OBJECT = "not_an_object"
    """JSON, but no object."""
    UNKNOWN_TYPE = "unknown_type"
    """A `type` that no topic has."""
    WRONG_TOPIC = "wrong_topic"
    """A `type` that belongs on another topic."""
    MISSING_FIELD = "missing_field"
    """A required field is absent or null."""
    WRONG_TYPE = "wrong_type"
    """A known field holds a value of another type."""
    OUT_OF_RANGE = "out_of_range"
    """A known field is too long, too short, too large, too small; or a time is in seconds."""
    NEGATIVE_AMOUNT = "negative_amount"
    """An order's amount (items - discount + shipping_fee) is negative: a pricing fault of the shop."""
    OTHER_CURRENCY = "other_currency"
    """The `currency` of an order or ad click is not the setting `currency`."""
    TOO_LATE = "too_late"
    """Older than every kept pane."""
    FROM_THE_FUTURE = "from_the_future"
    """Further ahead of the clock than the limit allows."""
    UNREADABLE_BATCH = "unreadable_batch"
    """A batch of records that cannot be decoded: all of them are lost."""


@dataclass(frozen=True, slots=True)
class Priced:
    """What a negative amount is counted by; empty where the order has none."""

    channel: str
    coupon: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """One refused message of a batch."""

    index: int
    """Where it stood in the batch that was decoded."""
    reason: Reason
    detail: str
    """What was wrong and where, in words: names the field, never more than 300 characters."""
    priced: Priced | None = None
    """Of a negative amount: by what the shop's pricing is told apart."""
