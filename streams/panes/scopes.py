"""Scopes: the dimensions of every KPI."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias


class Scope(StrEnum):
    """A dimension. Its index in `SCOPES` is its id in stored panes: append, never reorder."""

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
    """Dimensions of shipments only, which no KPI of the dictionary has."""

    CARRIER = "carrier"
    WAREHOUSE = "warehouse"
    SPREAD = "spread"
    """Not a field: an extra row beside another, for the histogram of its shipment intervals."""


class SourceDimension(StrEnum):
    """A dimension of events only, not of KPIs, to detect sources that fall silent."""

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
"""Scopes in which an order counts by its lines."""

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
"""# <scope: event field with its value>; events without it count in `all` only"""
