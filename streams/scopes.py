"""Scopes: the dimensions that every KPI is cut by."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """A dimension. Its place in `SCOPES` is its id in stored panes: append, never reorder."""

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


SCOPES = tuple(Scope)
SCOPE_IDS = {scope: i for i, scope in enumerate(SCOPES)}

LINE_SCOPES = (Scope.CATEGORY, Scope.SKU)
"""Scopes in which an order counts by its item lines."""

FIELDS = {
    Scope.PROMOTION: "promotion_id",
    Scope.CHANNEL: "channel",
    Scope.REGION: "region",
    Scope.CATEGORY: "category",
    Scope.CAMPAIGN: "campaign",
    Scope.LIVE_ROOM: "live_room",
    Scope.VARIANT: "variant",
    Scope.MEMBER: "member",
    Scope.SKU: "sku",
}
"""The event field that holds a scope's value. An event without it counts in `all` only."""
