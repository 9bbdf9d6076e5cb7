"""ABC classes of SKUs by GMV.

Sorted by GMV, the largest first, A are the SKUs with the first 80 % of GMV, B those with the next 15 %, C the rest. The
cuts are customary (Silver, Pyke and Thomas, Inventory and Production Management in Supply Chains, 4th ed. 2017).
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from streams.panes.arrays import Ints

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


def abc_classes(all_gmv: Ints) -> list[AbcClass]:
    """The class of each SKU."""
    order = np.argsort(-all_gmv, kind="stable")
    ranked = all_gmv[order]
    sums = np.concatenate(([0], np.cumsum(ranked)[:-1]))
    firsts = np.searchsorted(-ranked, -ranked)  # ties rank with the first of them
    before, total = sums[firsts], int(all_gmv.sum())
    codes = np.where(before < A_SHARE * total, 0, np.where(before < B_SHARE * total, 1, 2))
    codes[ranked <= 0] = 2
    placed = np.empty(len(codes), np.int64)
    placed[order] = codes
    kinds = tuple(AbcClass)
    return [kinds[code] for code in placed.tolist()]
