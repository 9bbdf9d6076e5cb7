"""Resolutions of stored panes in event time, by level."""

from __future__ import annotations

from types import MappingProxyType

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
HOUR_MS = 1000 * HOUR_S

COUNTERS_STEP_S = MappingProxyType({"s": 1, "m": MINUTE_S, "h": HOUR_S})
"""Finest first."""
DISTINCTS_STEP_S = MappingProxyType({"s": 10, "m": 10 * MINUTE_S, "h": HOUR_S})
SKU_DISTINCTS_STEP_S = DISTINCTS_STEP_S["m"]
"""Finest resolution of distinct counts per SKU: there are many SKUs."""
