"""Names of totals in Redis that contain producers' values: encoding, parsing and bounds. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from consumers.contract.rejection import PricingLabels

NEGATIVE_AMOUNTS = "negative_amounts"
"""Orders rejected for their negative amount, by channel and coupon."""
MAX_CHANNEL_COUPON_PAIRS = 100
"""Number of channel and coupon pairs that each shard, and /metrics, distinguish; all others are the rest."""
REST = f"{NEGATIVE_AMOUNTS},rest"
"""Total of all other pairs; `apply.lua` uses this name."""


def negative_amounts_total(priced: PricingLabels) -> str:
    """The total that an order with a negative amount increments."""
    return f"{NEGATIVE_AMOUNTS},{json.dumps([priced.channel, priced.coupon], ensure_ascii=False)}"


@dataclass(frozen=True, slots=True)
class NegativeAmounts:
    """Numbers of orders with a negative amount."""

    by: Mapping[PricingLabels, int]
    """The most frequent pairs, in descending order."""
    rest: int
    """All others."""


def negative_amounts(totals: Mapping[str, int]) -> NegativeAmounts:
    """The numbers of rejected orders by channel and coupon, from the totals of all shards."""
    rest, by = totals.get(REST, 0), dict[PricingLabels, int]()
    for name, count in totals.items():
        kind, _, pair = name.partition(",")
        if kind == NEGATIVE_AMOUNTS and name != REST:
            by[PricingLabels(*json.loads(pair))] = count
    ordered = sorted(by.items(), key=lambda pair: (-pair[1], pair[0].channel, pair[0].coupon))
    return NegativeAmounts(
        dict(ordered[:MAX_CHANNEL_COUPON_PAIRS]), rest + sum(count for _, count in ordered[MAX_CHANNEL_COUPON_PAIRS:])
    )
