"""The effect of bad optional labels on events, for the oracles; shares no code with the product."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Event = Mapping[str, Any]

_LABELS = frozenset(
    {
        *("source", "sku", "category", "channel", "region", "promotion_id", "device", "variant", "campaign"),
        *("keyword", "ad_unit", "live_room", "reason", "carrier", "warehouse"),
    }
)
"""Optional strings. Where one is required (`sku` of stock), the event would be rejected."""


def without_bad_labels(event: Event) -> Event:
    """The event without labels that are empty or longer than 128 characters, and its items without such a category."""
    counted = {
        name: value
        for name, value in event.items()
        if name not in _LABELS or not isinstance(value, str) or 1 <= len(value) <= 128
    }
    if "items" in counted:
        counted["items"] = [
            {name: value for name, value in item.items() if name != "category" or (value and len(value) <= 128)}
            for item in counted["items"]
        ]
    return counted
