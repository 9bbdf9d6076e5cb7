"""Vectorized checks of decoded events that would cost too much per event or depend on settings. Pure.

Epoch seconds read as milliseconds are in 1970, which the contract's range includes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from consumers.contract.rejection import RejectionReason
from consumers.contract.rejection_hints import EPOCH_SECONDS, time_hint
from consumers.topics import Topic

CLICKS_WITH_MONEY = frozenset({"ad_click"})
"""Click types whose money is counted; on others the currency is ignored."""
_CODE = re.compile("[A-Z]{3}")
_MAX_SHOWN = 20

ImplausibleEvent = tuple[int, RejectionReason, str]
"""(index of the event, reason, detail)"""


def find_implausible_events(
    topic: Topic, fields: Mapping[str, Sequence[Any]], ts: np.ndarray, currency: str | None
) -> list[ImplausibleEvent]:
    """Events that break the contract although each field is in its range, each once, by index.

    `fields`: decoded events by field; `ts`: their times as an array; `currency`: the shop's, None for any.
    """
    implausible: dict[int, ImplausibleEvent] = {}
    for index, name, given in _times_in_seconds(topic, fields, ts):
        implausible.setdefault(index, (index, RejectionReason.OUT_OF_RANGE, f"`{name}` is {given}: {time_hint(given)}"))
    if currency is not None and "currency" in fields:
        for index, code in _other_currencies(topic, fields, currency):
            implausible.setdefault(index, (index, RejectionReason.OTHER_CURRENCY, _currency_detail(code, currency)))
    return [implausible[index] for index in sorted(implausible)]


def _other_currencies(topic: Topic, fields: Mapping[str, Sequence[Any]], currency: str) -> Iterator[tuple[int, str]]:
    codes = fields["currency"]
    if codes.count(None) == len(codes) or not set(codes) - {None, "", currency}:
        return
    types = fields["type"]
    for index, code in enumerate(codes):
        if code and code != currency and (topic is Topic.ORDERS or types[index] in CLICKS_WITH_MONEY):
            yield index, code


def _currency_detail(code: str, currency: str) -> str:
    shown = json.dumps(code[:_MAX_SHOWN])
    if _CODE.fullmatch(code):
        return (
            f"`currency` is {shown}, this shop counts {currency}: convert the money, or count it with "
            "another salepulse (settings currency and redis_prefix)"
        )
    if code.strip().upper() == currency:
        return f"`currency` is {shown}: send the ISO 4217 code in capitals without spaces, {currency}"
    return f"`currency` is {shown}, not an ISO 4217 code: send three capitals, {currency}"


def _times_in_seconds(
    topic: Topic, fields: Mapping[str, Sequence[Any]], ts: np.ndarray
) -> Iterator[tuple[int, str, int]]:
    if len(ts) and ts.min() < EPOCH_SECONDS.stop:
        for index in np.flatnonzero((ts >= EPOCH_SECONDS.start) & (ts < EPOCH_SECONDS.stop)).tolist():
            yield index, "ts", int(ts[index])
    if topic is Topic.LOGISTICS:
        promises = fields["promised_ts"]
        if promises.count(None) < len(promises):
            for index, promised_ms in enumerate(promises):
                if promised_ms is not None and promised_ms in EPOCH_SECONDS:
                    yield index, "promised_ts", promised_ms
