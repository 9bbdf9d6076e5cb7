"""The numbers that thresholds and changes may ask for."""

from __future__ import annotations

from difflib import get_close_matches

from streams.kpis import NAMES, UNITS
from streams.panes.counters import Unit
from streams.shipping.kpis import SHIPPING_KPIS

STOCK = (
    "stock_available",
    "sell_through",
    "minutes_to_stockout",
    "oversold_units",
    "stockout_skus",
    "stock_fill_rate",
)
OTHERS = {
    "target_probability.base": "how probable it is that the running promotion reaches its target `base` (0 to 1)",
    "target_probability.sprint": "the same for `sprint`",
    "target_probability.challenge": "the same for `challenge`",
    "orders_due": "orders that fell due in the window and are not called off: the whole of `ship_within_48h_rate`",
    "expected_breaches": "orders that wait now and are to be expected overdue within the next 12 hours",
    "expected_breach_rate": "share of the orders paid that, due within 24 hours, wait and are to be expected overdue",
}
"""What no KPI is: forecasts, and numbers that KPIs rest on; by name."""
VALUES = tuple(dict.fromkeys((*NAMES, *STOCK, *(kpi.name for kpi in SHIPPING_KPIS), *OTHERS)))


def check_value(name: str) -> str:
    """The name, if there is such a number; ValueError says which there are."""
    if name not in VALUES:
        close = get_close_matches(name, VALUES, 1)
        raise ValueError(f"there is no {name!r}: " + (f"do you mean {close[0]!r}?" if close else "see definitions"))
    return name


def unit_of(name: str) -> Unit:
    """Its unit; of forecasts and stock, a ratio where it is a share."""
    if name in UNITS:
        return UNITS[name]
    is_share = name.startswith("target_probability") or name.endswith("_rate") or name == "sell_through"
    return Unit.RATIO if is_share else Unit.COUNT
