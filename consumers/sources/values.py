"""Exact conversions of values in a message to those of the contract.

Every function returns None for an absent value: null or an empty text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from consumers.contract.rejection import RejectionReason

Converter = Callable[[Any], Any]
"""From a value of a message to one of the contract, None if it is absent. Raises MappingError."""

_MAX_SHOWN = 60
_LONGEST_NUMBER = 40
"""Characters of a number in text."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCHS = {None: (1, 1), "ms": (1, 1), "s": (1000, 1), "us": (1, 1000)}
"""# <format of times: numerator and denominator of milliseconds>"""
_MOST_MINUTES = 10_000
_MOST_SECONDS = 70_000
_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d([.]\d{1,3})?(?P<offset>Z|[+-]\d\d:\d\d)?", re.ASCII)
"""Times of which the minute and the rest can be read apart."""
_MOST_FAST = 10**15
"""Decimals below it have exact products in the default context, if they have no more digits than the currency."""
_NUMBER_NEEDED = "a number such as 1234.50 is needed, without a currency sign or a thousands separator"


class MappingError(Exception):
    """A message cannot be mapped. Caught inside this package and returned as a rejection."""

    def __init__(self, reason: RejectionReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def shown(value: object) -> str:
    """A value for messages, shortened."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"


def text_of(value: object) -> str | None:
    """The text by which `when` and `map` compare a value; None if it is absent, a list or an object.

    >>> text_of(5), text_of(True), text_of("paid"), text_of(None)
    ('5', 'true', 'paid', None)
    """
    if value.__class__ is str:
        return value
    if value is None or isinstance(value, dict | list | bytes):
        return None
    return json.dumps(value) if isinstance(value, bool | float) else str(value)


def to_label(value: Any) -> str | None:
    """An id or label; whole numbers become text.

    >>> to_label(450789469), to_label("web"), to_label("")
    ('450789469', 'web', None)
    """
    if value.__class__ is str:
        return value or None
    if value is None:
        return None
    if value.__class__ is int or isinstance(value, UUID):
        return str(value)
    raise MappingError(RejectionReason.WRONG_TYPE, f"is {shown(value)}: text or a whole number is needed")


def to_integer(value: Any) -> int | None:
    """A whole number, also as text or with zeros after the point.

    >>> to_integer(2), to_integer("2"), to_integer(2.0)
    (2, 2, 2)
    """
    if value.__class__ is int:
        return value
    if value is None or value == "":
        return None
    needed = "a whole number is needed"
    return _scaled(value, 0, needed, needed=needed)


def to_boolean(value: Any) -> bool | None:
    """True or false, also as text."""
    if value.__class__ is bool or value is None:
        return value
    match value:
        case "true" | "True":
            return True
        case "false" | "False":
            return False
        case "":
            return None
    raise MappingError(RejectionReason.WRONG_TYPE, f"is {shown(value)}: true or false is needed, or a `map` to these")


def to_minor_units(value: Any) -> int | None:
    """Money that is in minor units already: a whole number, not as text, as that is usually in major units."""
    if value.__class__ is int or value is None:
        return value
    if value == "":
        return None
    raise MappingError(
        RejectionReason.WRONG_TYPE,
        f"is {shown(value)}: money is a whole number of minor units, or has `money: major` in the map",
    )


def from_major_units(exponent: int, *, rounds: bool = False) -> Converter:
    """Money in major units to minor units, exactly. An excess digit is an error, unless `rounds` (half up).

    >>> convert = from_major_units(2)
    >>> convert("12.30"), convert(12.3), convert(12)
    (1230, 1230, 1200)
    """
    scale = 10**exponent
    too_fine = f"money has at most {exponent} digits after the point"

    def convert(value: Any) -> int | None:
        kind = value.__class__
        if kind is int:
            return value * scale  # type: ignore[no-any-return]
        if kind is str:
            # the common form: digits with exactly `exponent` of them after the point
            whole, _, fraction = value.partition(".")
            if len(fraction) == exponent and len(value) <= _LONGEST_NUMBER:
                digits = whole + fraction
                if digits.isdecimal() and digits.isascii():
                    return int(digits)
            if not value:
                return None
        elif kind is float:
            # A float is the double nearest to its decimal form, and so is the quotient if it has no more digits.
            scaled = value * scale
            if -9e15 < scaled < 9e15:
                rounded: int = round(scaled)
                if rounded / scale == value:
                    return rounded
        elif kind is Decimal:
            if value.is_finite() and -_MOST_FAST < value < _MOST_FAST:
                whole = int(value * scale)
                if Decimal(whole).scaleb(-exponent) == value:
                    return whole
        elif value is None:
            return None
        return _scaled(value, exponent, too_fine, rounds=rounds)

    return convert


def _scaled(value: Any, exponent: int, limit: str, *, needed: str = _NUMBER_NEEDED, rounds: bool = False) -> int:
    """The number times 10^exponent as an integer: exact, or rounded half up. `limit`: the fault of an excess digit;
    `needed`: of a value that is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise MappingError(RejectionReason.WRONG_TYPE, f"is {shown(value)}: {needed}")
    text = value.strip() if isinstance(value, str) else str(value)
    if len(text) > _LONGEST_NUMBER or "_" in text:
        raise MappingError(RejectionReason.WRONG_TYPE, f"is {shown(value)}: {needed}")
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise MappingError(RejectionReason.WRONG_TYPE, f"is {shown(value)}: {needed}")
    if not number or (rounds and number.adjusted() < -_LONGEST_NUMBER):
        return 0
    if number.adjusted() > _LONGEST_NUMBER:
        raise MappingError(RejectionReason.OUT_OF_RANGE, f"is {shown(value)}: it is too large")
    if number.adjusted() < -_LONGEST_NUMBER:
        raise MappingError(RejectionReason.OUT_OF_RANGE, f"is {shown(value)}: {limit}")
    sign, digits, places = number.as_tuple()
    shift = int(places) + exponent
    whole = int("".join(map(str, digits))) * (-1 if sign else 1)
    if shift >= 0:
        return whole * int(10**shift)
    unit = int(10**-shift)
    if rounds:
        return (2 * whole + unit) // (2 * unit)
    whole, excess = divmod(whole, unit)
    if excess:
        raise MappingError(RejectionReason.OUT_OF_RANGE, f"is {shown(value)}: {limit}")
    return whole


class IsoTimes:
    """Converts ISO 8601 to epoch ms; digits beyond milliseconds are cut. Keeps the parts of times that it has seen."""

    def __init__(self, zone: str | None) -> None:
        """`zone`: of times without an offset; None refuses them."""
        self._zone = ZoneInfo(zone) if zone else None
        self._has_offset = zone == "UTC"
        """Whether times without an offset always have the same."""
        self.minutes: dict[str, int] = {}
        """# <time up to the minute, with the colon after it: epoch ms in UTC>"""
        self.seconds: dict[str, int] = {}
        """# <seconds to milliseconds and offset: ms after the minute in UTC>"""

    def __call__(self, value: Any) -> int | None:
        """Epoch ms, None if the time is absent."""
        if value.__class__ is datetime:
            return self.of_datetime(value)
        if value is None or value == "":
            return None
        try:
            moment = datetime.fromisoformat(value.isoformat() if isinstance(value, date) else value)
        except (ValueError, TypeError):
            raise MappingError(RejectionReason.WRONG_TYPE, f"is {shown(value)}: {_iso_needed(value)}") from None
        found = self.of_datetime(moment)
        self._keep(value, found)
        return found

    def of_datetime(self, moment: datetime) -> int:
        """Epoch ms of a moment."""
        if moment.tzinfo is None:
            if self._zone is None:
                raise MappingError(
                    RejectionReason.WRONG_TYPE,
                    f"is {shown(str(moment))}: the time has no offset; add `zone` to the map, such as `zone: UTC`",
                )
            moment = moment.replace(tzinfo=self._zone)
        passed = moment - _EPOCH
        return (passed.days * 86_400 + passed.seconds) * 1000 + passed.microseconds // 1000

    def _keep(self, value: Any, found: int) -> None:
        parts = _ISO_TIME.fullmatch(value) if value.__class__ is str else None
        if parts is None or not (parts["offset"] or self._has_offset):
            return
        minute, second = value[:17], value[17:]
        minute_ms = self.of_datetime(datetime.fromisoformat(f"{minute[:-1]}Z"))
        if len(self.minutes) < _MOST_MINUTES:
            self.minutes[minute] = minute_ms
        if len(self.seconds) < _MOST_SECONDS:
            self.seconds[second] = found - minute_ms


def _iso_needed(value: object) -> str:
    is_number = isinstance(value, int | float) or (isinstance(value, str) and value.isdecimal())
    return "a time in ISO 8601 is needed" + ("; for a number write `time: s`, `ms` or `us`" if is_number else "")


@cache
def from_iso_time(zone: str | None) -> IsoTimes:
    """The converter of ISO 8601. `zone`: of times without an offset; None refuses them.

    >>> from_iso_time(None)("2026-11-11T00:00:00.5+08:00"), from_iso_time("UTC")("2026-11-11 00:00:00")
    (1794326400500, 1794355200000)
    """
    return IsoTimes(zone)


def from_epoch(numerator: int, denominator: int) -> Converter:
    """A number since the epoch to epoch ms: value * numerator / denominator, rounded down."""
    of_datetime = from_iso_time("UTC").of_datetime

    def convert(value: Any) -> int | None:
        if value.__class__ is int:
            return value * numerator // denominator
        if value.__class__ is datetime:
            return of_datetime(value)
        if value is None or value == "":
            return None
        return _scaled_down(value) * numerator // (denominator * _FINEST)

    return convert


_FINEST = 10**9


def _scaled_down(value: Any) -> int:
    """The number in billionths, without finer digits."""
    text = value if isinstance(value, str) else repr(value) if isinstance(value, float) else str(value)
    whole, point, fraction = text.partition(".")
    number = f"{whole}{point}{fraction[:9]}" if fraction.isdecimal() else value
    return _scaled(number, 9, "the time is too fine", needed="a number is needed; for ISO 8601 write `time: iso`")


def time_converter(time: str | None, zone: str | None) -> Converter:
    """The converter of a `TimeFormat`."""
    return from_iso_time(zone) if time == "iso" else from_epoch(*_EPOCHS[time])
