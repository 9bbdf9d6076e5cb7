"""Distinct counts: HyperLogLog with 2^16 registers, stored sparsely as register entries.

A register entry is `register << 6 | rank`, 22 bits of a 64-bit hash: the register is the first 16 bits, the rank one
more than the number of leading zeros of the other 48. A sketch holds the greatest rank of each register; a union keeps
the greater. So neither order nor repetition of ids matters.

Standard error 1.04 / sqrt(2^16) = 0.41 %; the 2 % that the metric dictionary allows are 4.9 standard errors. Source:
Flajolet et al., "HyperLogLog", 2007; estimator: Ertl, "New cardinality estimation algorithms for HyperLogLog sketches",
2017, algorithm 6 (no bias correction tables, valid from 0 to 2^64).
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
"""Register entries of one or more sketches."""


def register_entries(hashed: Hashes) -> Ints:
    """The register entry of each hash (`consumers.dedup`)."""
    register = (hashed >> np.uint64(_HASH_BITS)).astype(np.int64)
    rest = (hashed & np.uint64((1 << _HASH_BITS) - 1)).astype(np.float64)  # 48 bits: exact
    rank = _HASH_BITS + 1 - np.frexp(rest)[1]
    drawn: Ints = register << RANK_BITS | rank
    return drawn


def estimate_all(histograms: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Estimated number of distinct ids of each sketch.

    `histograms[sketch, rank]` counts its registers of each rank, 0 for empty. Source: Ertl 2017, algorithm 6,
    vectorised.
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
    """Correction for empty registers; infinite if all are."""
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
    """Correction for saturated registers; 0 if there are none."""
    y, total = 1.0, 1 - x
    root = x.copy()
    while True:
        root = np.sqrt(root)
        before = total.copy()
        y *= 0.5
        total = total - (1 - root) ** 2 * y
        if np.array_equal(total, before):
            return np.where((x == 0) | (x == 1), 0, total / 3)
