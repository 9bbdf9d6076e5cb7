"""Distinct counts: HyperLogLog with 2^16 registers, kept as the list of its non-zero registers ("coupons").

A coupon is `register << 6 | rank`, 22 bits, made from a 64-bit hash of the id: the register is the hash's first 16
bits, the rank one more than the zeros that lead the other 48. A set of ids is the set of its coupons with, in each
register, only the greatest rank; a union keeps the greater. So the order in which ids arrive, and how often, changes
nothing.

Standard error 1.04 / sqrt(2^16) = 0.41 %: the 2 % that the metric dictionary allows are 4.9 of them.
Source: Flajolet et al., "HyperLogLog", 2007; estimator: Ertl, "New cardinality estimation algorithms for HyperLogLog
sketches", 2017, algorithm 6 (no bias correction tables, good from 0 to 2^64).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from consumers.dedup import Hashes
from streams.panes.arrays import Ints

REGISTER_BITS = 16
REGISTERS = 1 << REGISTER_BITS
RANK_BITS = 6
REGISTER_ENTRY_BITS = REGISTER_BITS + RANK_BITS
_HASH_BITS = 64 - REGISTER_BITS
_ALPHA = 1 / (2 * math.log(2))

RegisterEntries = npt.NDArray[np.uint32]
"""Coupons of one or more sketches."""


def register_entries(hashed: Hashes) -> Ints:
    """The coupon of each id's hash (`consumers.dedup`)."""
    register = (hashed >> np.uint64(_HASH_BITS)).astype(np.int64)
    rest = (hashed & np.uint64((1 << _HASH_BITS) - 1)).astype(np.float64)  # 48 bits: exact
    rank = _HASH_BITS + 1 - np.frexp(rest)[1]
    drawn: Ints = register << RANK_BITS | rank
    return drawn


def estimate_all(histograms: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many distinct ids made each sketch.

    `histograms[sketch, rank]` counts its registers of each rank, 0 for empty.

    Source: Ertl 2017, algorithm 6, for all sketches at once.
    """
    if not len(histograms):
        return np.zeros(0, np.int64)
    z = REGISTERS * _tau(1 - histograms[:, _HASH_BITS + 1] / REGISTERS)
    for rank in range(_HASH_BITS, 0, -1):
        z = 0.5 * (z + histograms[:, rank])
    with np.errstate(divide="ignore"):
        z = z + REGISTERS * _sigma(histograms[:, 0] / REGISTERS)
        return np.rint(_ALPHA * REGISTERS * REGISTERS / z).astype(np.int64)


def _sigma(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Corrects for empty registers; infinite where all are."""
    y, total = 1.0, x.copy()
    power = x.copy()
    while True:
        power *= power
        before = total.copy()
        total += np.where(x == 1, 0, power * y)
        y += y
        if np.array_equal(total, before):
            return np.where(x == 1, np.inf, total)


def _tau(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Corrects for full registers; 0 where there are none."""
    y, total = 1.0, 1 - x
    root = x.copy()
    while True:
        root = np.sqrt(root)
        before = total.copy()
        y *= 0.5
        total = total - (1 - root) ** 2 * y
        if np.array_equal(total, before):
            return np.where((x == 0) | (x == 1), 0, total / 3)
