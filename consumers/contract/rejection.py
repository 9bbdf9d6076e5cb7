"""Finds the reason why a message breaks the contract: the first that applies in the order of `RejectionReason`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from consumers.contract.events import (
    EVENT_TYPES,
    ITEM_LABELS,
    MAX_DEPTH,
    MAX_LABEL,
    MAX_MESSAGE_BYTES,
    MONEY_FIELDS,
    TIME_FIELDS,
    TOPIC_BY_EVENT_TYPE,
)
from consumers.contract.own_fields import TopicContract
from consumers.contract.rejection_hints import bytes_hint, envelope_hint, json_value_hint, money_hint, time_hint
from consumers.topics import Topic
from consumers.validation_messages import validation_message


class RejectionReason(StrEnum):
    """Rejection reasons; also the label of `salepulse_rejected_total` and a header of dead letters."""

    EMPTY = "empty"
    """No value, or an empty one."""
    TOO_LARGE = "too_large"
    """More than 1 MiB."""
    BAD_ENCODING = "bad_encoding"
    """Not UTF-8; of a source, not of the format of its topic."""
    BAD_JSON = "bad_json"
    """Not one JSON value: a syntax error, NaN, a number out of range."""
    TOO_DEEP = "too_deep"
    """More than 32 levels of nesting."""
    NOT_AN_OBJECT = "not_an_object"
    """JSON, but not an object."""
    UNKNOWN_TYPE = "unknown_type"
    """A `type` that no topic has."""
    WRONG_TOPIC = "wrong_topic"
    """A `type` of another topic."""
    MISSING_FIELD = "missing_field"
    """A required field is absent or null."""
    WRONG_TYPE = "wrong_type"
    """A known field has a value of another type."""
    OUT_OF_RANGE = "out_of_range"
    """A known field is too long, too short, too large or too small; or a time is in seconds."""
    NEGATIVE_AMOUNT = "negative_amount"
    """An order's amount (items - discount + shipping_fee) is negative: a pricing error of the shop."""
    OTHER_CURRENCY = "other_currency"
    """The `currency` of an order or ad click is not the setting `currency`."""
    UNKNOWN_SCHEMA = "unknown_schema"
    """The schema registry has no usable schema with the id of the message."""
    UNMAPPED = "unmapped"
    """The source of its topic makes no event of it, or its function failed."""
    TOO_LATE = "too_late"
    """Older than all kept panes."""
    FROM_THE_FUTURE = "from_the_future"
    """Further ahead of the clock than `future_limit_s`."""
    UNREADABLE_BATCH = "unreadable_batch"
    """A batch that cannot be decoded: its records are lost."""


@dataclass(frozen=True, slots=True)
class PricingLabels:
    """Labels by which negative amounts are counted; empty if the order has none."""

    channel: str
    coupon: str


@dataclass(frozen=True, slots=True)
class RejectedMessage:
    """A rejected message of a batch."""

    index: int
    """Index in the decoded batch."""
    reason: RejectionReason
    detail: str
    """The problem and the field, at most 300 characters."""
    pricing_labels: PricingLabels | None = None
    """For a negative amount."""


JSON_WHITESPACE = b" \t\r\n"
_MAX_DETAIL = 300
_MAX_SHOWN = 60
_RANK = {reason: rank for rank, reason in enumerate(RejectionReason)}
_OUT_OF_RANGE = frozenset(
    {
        "greater_than_equal",
        "less_than_equal",
        "string_too_short",
        "string_too_long",
        "too_short",
        "too_long",
        "out_of_range",
        "seconds",
    }
)
_FOREIGN_MESSAGE_REASONS = frozenset(
    {
        RejectionReason.UNKNOWN_TYPE,
        RejectionReason.WRONG_TOPIC,
        RejectionReason.MISSING_FIELD,
        RejectionReason.WRONG_TYPE,
    }
)
"""Reasons typical for messages of another system."""
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))

AnyModel = TypeVar("AnyModel", bound=BaseModel)


class RejectionError(Exception):
    """A message breaks the contract. Caught inside this package and returned as a `RejectedMessage`."""

    def __init__(self, reason: RejectionReason, detail: str, pricing_labels: PricingLabels | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail if len(detail) <= _MAX_DETAIL else detail[: _MAX_DETAIL - 1] + "…"
        self.pricing_labels = pricing_labels

    def to_rejected(self, index: int) -> RejectedMessage:
        """The rejected message, for index `index` of its batch."""
        return RejectedMessage(index, self.reason, self.detail, self.pricing_labels)


class ValidatedEvent(NamedTuple):
    """An event validated with its model."""

    event: BaseModel
    """An instance of the topic's model."""
    dropped_labels: Sequence[str]
    """Dropped labels, by the names in `DROPPABLE_FIELDS`."""


def validate_event(contract: TopicContract, value: bytes | None) -> ValidatedEvent:
    """The event in a message. Raises only RejectionError."""
    event, parsed = _validate(value, lambda parsed: _model_for(contract, parsed), contract.money_fields)
    return ValidatedEvent(event, list(_dropped(contract, parsed)))


def _dropped(contract: TopicContract, parsed: dict[str, Any]) -> Iterator[str]:
    yield from (name for name in contract.optional_labels if len(parsed.get(name) or "") > MAX_LABEL)
    if contract.topic is Topic.ORDERS:
        for item in parsed["items"]:
            yield from (f"items.{name}" for name in ITEM_LABELS if len(item.get(name) or "") > MAX_LABEL)


def validate_as(model: type[AnyModel], value: bytes | None) -> AnyModel:
    """The message as `model`, whatever its `type`. Raises only RejectionError."""
    return _validate(value, lambda _: model)[0]


def _validate(
    value: bytes | None,
    model_of: Callable[[dict[str, Any]], type[AnyModel]],
    money_fields: Collection[str] = MONEY_FIELDS,
) -> tuple[AnyModel, dict[str, Any]]:
    """The message as its model, and its JSON object. Raises only RejectionError."""
    try:
        parsed = parse_object(value)
        try:
            return validate_object(model_of(parsed), parsed, money_fields), parsed
        except RejectionError as rejection:
            raise _with_hints(rejection, parsed) from None
    except RejectionError:
        raise
    except RecursionError:
        raise _too_deep() from None
    except Exception as error:  # a message must never stop the pipeline
        raise RejectionError(RejectionReason.BAD_JSON, f"validation failed: {type(error).__name__}: {error}") from None


def _with_hints(rejection: RejectionError, parsed: dict[str, Any]) -> RejectionError:
    """The rejection with a description of a foreign envelope, or with the labels of a negative amount."""
    if rejection.reason in _FOREIGN_MESSAGE_REASONS and (text := envelope_hint(parsed)):
        return RejectionError(rejection.reason, text)
    if rejection.reason is RejectionReason.NEGATIVE_AMOUNT:
        pricing_labels = PricingLabels(*(_label(parsed.get(name)) for name in ("channel", "coupon")))
        return RejectionError(rejection.reason, rejection.detail, pricing_labels)
    return rejection


def _label(given: object) -> str:
    """A printable label; empty if there is none."""
    fits = isinstance(given, str) and len(given) <= MAX_LABEL and not any("\ud800" <= c <= "\udfff" for c in given)
    return str(given) if fits else ""


def parse_object(value: bytes | None) -> dict[str, Any]:
    """The JSON object in the message. Raises RejectionError."""
    if value is None or not value.strip(JSON_WHITESPACE):
        raise RejectionError(RejectionReason.EMPTY, "the message has no value: send a JSON object")
    if len(value) > MAX_MESSAGE_BYTES:
        raise RejectionError(
            RejectionReason.TOO_LARGE, f"the message has {len(value)} bytes: send at most {MAX_MESSAGE_BYTES}"
        )
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        detail = bytes_hint(value) or f"byte {error.start} is not UTF-8: send UTF-8"
        raise RejectionError(RejectionReason.BAD_ENCODING, detail) from None
    try:
        parsed = json.loads(text, parse_int=_integer, parse_constant=_no_constant)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise RejectionError(RejectionReason.BAD_JSON, bytes_hint(value) or f"not JSON: {error}") from None
    if nests_too_deep(value):
        raise _too_deep()
    if not isinstance(parsed, dict):
        detail = json_value_hint(parsed) or f"the message is {_shown(parsed)}: send a JSON object"
        raise RejectionError(RejectionReason.NOT_AN_OBJECT, detail)
    return parsed


def nests_too_deep(value: bytes) -> bool:
    """Whether well-formed JSON has more than 32 levels, counting the outermost object."""
    if value.count(b"{") + value.count(b"[") <= MAX_DEPTH:
        return False
    skeleton = _STRING.sub(b"", value).translate(None, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):  # each round removes the innermost level
        skeleton = skeleton.replace(b"{}", b"#").replace(b"[]", b"#").translate(None, b"#")
    return bool(skeleton)


def validate_object(
    model: type[AnyModel], found: dict[str, Any], money_fields: Collection[str] = MONEY_FIELDS
) -> AnyModel:
    """The object as `model`. Raises RejectionError for its worst fault."""
    try:
        return model.model_validate(found)
    except ValidationError as error:
        # The exception is not kept in a variable: its traceback would refer to itself and keep the message in memory.
        faults = [_reason_and_detail(fault, money_fields) for fault in error.errors(include_url=False)]
        raise RejectionError(*min(faults, key=lambda fault: _RANK[fault[0]])) from None


def _model_for(contract: TopicContract, parsed: dict[str, Any]) -> type[BaseModel]:
    """The topic's model if the type belongs to the topic; the model validates a type that is not a string."""
    name, topic = parsed.get("type"), contract.topic
    if isinstance(name, str) and name not in EVENT_TYPES[topic]:
        if other_topic := TOPIC_BY_EVENT_TYPE.get(name):
            raise RejectionError(
                RejectionReason.WRONG_TOPIC, f"`type` {_shown(name)} belongs on topic {other_topic}, not on {topic}"
            )
        known = ", ".join(sorted(EVENT_TYPES[topic]))
        raise RejectionError(RejectionReason.UNKNOWN_TYPE, f"`type` is {_shown(name)}: {topic} takes {known}")
    return contract.model


def _reason_and_detail(error: ErrorDetails, money_fields: Collection[str]) -> tuple[RejectionReason, str]:
    """Reason and detail of one pydantic error."""
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]).lstrip(".")
    kind, given = error["type"], error["input"]
    if kind == "missing" and not field:  # from the model's own validator, which names the field
        return RejectionReason.MISSING_FIELD, error["msg"]
    if kind == "missing" or (given is None and not field.endswith("]")):
        return RejectionReason.MISSING_FIELD, f"`{field}` is missing: send it"
    if isinstance(given, float) and math.isinf(given):
        return RejectionReason.BAD_JSON, f"`{field}` is a number out of the range of a double: send an integer"
    if kind == "string_unicode":
        return RejectionReason.BAD_ENCODING, f"`{field}` has an unpaired surrogate: send whole characters"
    message = validation_message(error)
    if kind == "negative_amount":
        return RejectionReason.NEGATIVE_AMOUNT, message
    if kind == "out_of_range":
        return RejectionReason.OUT_OF_RANGE, message
    name = error["loc"][-1] if error["loc"] else ""
    recognised = time_hint(given) if name in TIME_FIELDS else money_hint(given) if name in money_fields else None
    reason = RejectionReason.OUT_OF_RANGE if kind in _OUT_OF_RANGE else RejectionReason.WRONG_TYPE
    return reason, f"`{field}` is {_shown(given)}: {recognised or message}"


def _too_deep() -> RejectionError:
    return RejectionError(
        RejectionReason.TOO_DEEP, f"the message has more than {MAX_DEPTH} levels of nesting: send a flatter one"
    )


def _shown(given: Any) -> str:
    text = json.dumps(given, default=str)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"


def _integer(digits: str) -> int:
    """An integer; more than 20 digits, outside every range, are cut (Python refuses 4,300 digits)."""
    return int(digits[:21]) if len(digits) > 21 else int(digits)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
