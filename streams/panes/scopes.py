"""Scopes: the dimensions of every KPI."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from streams.dictionary.builtin import BUILT_IN


class Scope(StrEnum):
    """A dimension of the built-in model."""

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


Dimension: TypeAlias = str
"""The name of a scope, or of a dimension that no KPI has."""
SCOPES = tuple(Scope)
DIMENSIONS: tuple[Dimension, ...] = (*Scope, *ShipmentDimension, *SourceDimension)
DIMENSION_IDS: dict[Dimension, int] = {
    **{scope: BUILT_IN.dimensions[scope].id for scope in Scope},
    **{shipped_by: 128 + i for i, shipped_by in enumerate(ShipmentDimension)},
    **{written_by: 160 + i for i, written_by in enumerate(SourceDimension)},
}
"""Ids in stored panes: they never change."""
