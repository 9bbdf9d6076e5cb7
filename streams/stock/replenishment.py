"""Units to order and overstock, at the present rate of sale.

An order-up-to rule (Silver, Pyke and Thomas, Inventory and Production Management in Supply Chains, 4th ed. 2017): an
order arrives after the lead time and must last for the horizon after that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StockPolicy:
    """Targets for stock."""

    lead_time_h: float = 24.0
    """Time from ordering to delivery."""
    horizon_h: float = 72.0
    """How long the delivered units must last."""
    overstock_d: float = 30.0
    """Stock for more days of sales than this is overstock."""


def replenishment(stock: int, units_per_hour: float, policy: StockPolicy) -> int:
    """Units to order now so that stock lasts through lead time and horizon; 0 if it does.

    Oversold units are added.
    """
    needed = units_per_hour * (policy.lead_time_h + policy.horizon_h)
    return max(0, math.ceil(needed - stock))


def overstock(stock: int, units_per_hour: float, policy: StockPolicy) -> int:
    """Units beyond `overstock_d` days of sales at this rate; all units if nothing sells."""
    return max(0, math.floor(stock - units_per_hour * 24 * policy.overstock_d))


def gmv_at_risk_per_hour(gmv: int, hours: float) -> int:
    """Lost GMV per hour (minor units, rounded half up) of a SKU out of stock, at its rate before it ran out.

    `gmv` is that of the last `hours` before.
    """
    return math.floor(gmv / hours + 0.5) if hours > 0 else 0
