"""What to order and what lies too long, at the present rate of sale.

An order-up-to rule (Silver, Pyke and Thomas, Inventory and Production Management in Supply Chains, 4th ed. 2017): what
is ordered now arrives after the lead time and must last for the horizon after that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StockPolicy:
    """How long stock is to last."""

    lead_time_h: float = 24.0
    """From ordering to having it."""
    horizon_h: float = 72.0
    """What arrives must last so long."""
    overstock_d: float = 30.0
    """More than sells in so many days is too much."""


def replenishment(stock: int, units_per_hour: float, policy: StockPolicy) -> int:
    """Units to order now, so that stock lasts through the lead time and the horizon after it; 0 where it does.

    Units oversold are owed, and so come on top.
    """
    needed = units_per_hour * (policy.lead_time_h + policy.horizon_h)
    return max(0, math.ceil(needed - stock))


def overstock(stock: int, units_per_hour: float, policy: StockPolicy) -> int:
    """Units beyond the upper limit: what sells in `overstock_d` days at this rate. All of them where nothing sells."""
    return max(0, math.floor(stock - units_per_hour * 24 * policy.overstock_d))


def gmv_at_risk_per_hour(gmv: int, hours: float) -> int:
    """GMV an hour (minor units, rounded half up) that a SKU out of stock would bring in: what it did before it ran out.

    `gmv` was made in the last `hours` before that.
    """
    return math.floor(gmv / hours + 0.5) if hours > 0 else 0
