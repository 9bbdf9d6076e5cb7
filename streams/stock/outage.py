"""Since when a SKU is out of stock."""

from __future__ import annotations

import numpy as np

from streams.panes.arrays import Ints


def out_since_ms(available: int, counted_ms: int, times: Ints, amounts: Ints) -> int | None:
    """When the stock last fell to 0 or below; None where there is some.

    `available`: stock now. `counted_ms`: the newest count of the SKU in any warehouse. `times` and `amounts`: the moves
    after it that count (epoch ms; any order). A SKU that was out of stock at its newest count is out since then: what
    was before that is told by the count alone.
    """
    if available > 0:
        return None
    order = np.argsort(times, kind="stable")
    times, amounts = times[order], amounts[order]
    last = np.append(times[1:] != times[:-1], True)[: len(times)]  # what happens at one ms happens at once
    after = available - int(amounts.sum()) + np.cumsum(amounts)[last]
    moments = times[last]
    in_stock = np.flatnonzero(after > 0)
    if len(in_stock):
        return int(moments[in_stock[-1] + 1])
    return counted_ms if available - int(amounts.sum()) <= 0 or len(moments) == 0 else int(moments[0])
