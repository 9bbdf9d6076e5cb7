"""Names of dimensions that code refers to. A test proves that the built-in model has them."""

from __future__ import annotations

ALL = "all"
PROMOTION = "promotion"
CHANNEL = "channel"
REGION = "region"
CATEGORY = "category"
CAMPAIGN = "campaign"
LIVE_ROOM = "live_room"
VARIANT = "variant"
MEMBER = "member"
SKU = "sku"

RESERVED_DIMENSIONS = frozenset(
    {
        *("rule", "severity", "topic", "partition", "worker", "reason", "window", "scope", "value"),
        *("source", "carrier", "warehouse", "spread", "rest"),
    }
)
"""Labels of alerts and metrics, which no dimension of a shop's own may be named like."""
