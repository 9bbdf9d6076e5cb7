"""Scopes: the dimensions that every KPI is cut by."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias


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


class ShipmentDimension(StrEnum):
    """A dimension that shipments alone are cut by, and no KPI of the dictionary."""

    CARRIER = "carrier"
    WAREHOUSE = "warehouse"
    SPREAD = "spread"
    """No value of a field: a row beside another one, for the histogram of how long its legs take."""


class SourceDimension(StrEnum):
    """A dimension that events alone are counted by, and no KPI: it tells whose events no longer come."""

    SOURCE = "source"
    """Values are `topic/source`."""


Dimension: TypeAlias = Scope | ShipmentDimension | SourceDimension
SCOPES = tuple(Scope)
DIMENSIONS: tuple[Dimension, ...] = (*Scope, *ShipmentDimension, *SourceDimension)
DIMENSION_IDS: dict[Dimension, int] = {
    **{scope: i for i, scope in enumerate(Scope)},
    **{shipped_by: 128 + i for i, shipped_by in enumerate(ShipmentDimension)},
    **{written_by: 160 + i for i, written_by in enumerate(SourceDimension)},
}
"""Ids in stored panes: they never change."""

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
