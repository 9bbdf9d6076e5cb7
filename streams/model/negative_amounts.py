"""The names of totals in Redis that hold values of producers: how they are written, told apart and bounded. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from consumers.contract.rejection import PricingLabels

NEGATIVE_AMOUNTS = "negative_amounts"
"""Orders refused for their negative amount, by channel and coupon."""
MAX_CHANNEL_COUPON_PAIRS = 100
"""So many pairs of channel and coupon are told apart in each shard, and on /metrics; all others are the rest."""
REST = f"{NEGATIVE_AMOUNTS},rest"
"""Of the pairs that came after these; `apply.lua` counts them here."""


def negative_amounts_total(priced: PricingLabels) -> str:
    """The total that an order with a negative amount adds to."""
    return f"{NEGATIVE_AMOUNTS},{json.dumps([priced.channel, priced.coupon], ensure_ascii=False)}"


@dataclass(frozen=True, slots=True)
class NegativeAmounts:
    """How many orders had a negative amount."""

    by: Mapping[PricingLabels, int]
    """The pairs with the most, the first of them with the most of all."""
    rest: int
    """All others."""


def negative_amounts(totals: Mapping[str, int]) -> NegativeAmounts:
    """From the totals of all shards."""
    rest, by = totals.get(REST, 0), dict[PricingLabels, int]()
    for name, count in totals.items():
        kind, _, pair = name.partition(",")
        if kind == NEGATIVE_AMOUNTS and name != REST:
            by[PricingLabels(*json.loads(pair))] = count
    ordered = sorted(by.items(), key=lambda held: (-held[1], held[0].channel, held[0].coupon))
    return NegativeAmounts(
        dict(ordered[:MAX_CHANNEL_COUPON_PAIRS]), rest + sum(count for _, count in ordered[MAX_CHANNEL_COUPON_PAIRS:])
    )
