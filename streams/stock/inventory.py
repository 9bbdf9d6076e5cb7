"""Decisions from stock and sales: units to order, overstock, GMV at risk, ABC classes.

Orders follow an order-up-to rule: an order arrives after the lead time and must last for the horizon after that. Sorted
by GMV, the largest first, A are the SKUs with the first 80 % of GMV, B those with the next 15 %, C the rest: customary
cuts. Source of both: Silver, Pyke and Thomas, Inventory and Production Management in Supply Chains, 4th ed. 2017.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from streams.panes.arrays import Ints


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


A_SHARE = 0.80
B_SHARE = 0.95


class AbcClass(StrEnum):
    """Class of a SKU by its share of GMV."""

    A = "A"
    """SKUs with the first 80 % of GMV."""
    B = "B"
    """SKUs with the next 15 %."""
    C = "C"
    """All others, and SKUs without sales."""


def abc_class(gmv: int, all_gmv: Ints) -> AbcClass:
    """The class of a SKU with this GMV among all SKUs (itself included; minor units).

    It depends on the share of SKUs with more GMV: equal SKUs share a class, and the first is always A.
    """
    total = int(all_gmv.sum())
    if gmv <= 0 or total <= 0:
        return AbcClass.C
    before = int(all_gmv[all_gmv > gmv].sum())
    if before < A_SHARE * total:
        return AbcClass.A
    return AbcClass.B if before < B_SHARE * total else AbcClass.C
