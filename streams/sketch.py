"""Distinct counts: HyperLogLog with 2^16 registers, kept as the list of its non-zero registers ("coupons").

A coupon is `register << 6 | rank`, 22 bits, made from a 64-bit hash of the id: the register is the hash's first 16 bits, the
rank one more than the zeros that lead the other 48. A set of ids is the set of its coupons with, in each register, only the
greatest rank; a union keeps the greater. So the order in which ids arrive, and how often, changes nothing.

Standard error 1.04 / sqrt(2^16) = 0.41 %: the 2 % that the metric dictionary allows are 4.9 of them.
Source: Flajolet et al., "HyperLogLog", 2007; estimator: Ertl, "New cardinality estimation algorithms for HyperLogLog
sketches", 2017, algorithm 6 (no bias correction tables, good from 0 to 2^64).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import xxhash

from streams.arrays import Ints

REGISTER_BITS = 16
REGISTERS = 1 << REGISTER_BITS
RANK_BITS = 6
COUPON_BITS = REGISTER_BITS + RANK_BITS
_HASH_BITS = 64 - REGISTER_BITS
_ALPHA = 1 / (2 * math.log(2))

Coupons = npt.NDArray[np.uint32]
"""Coupons of one or more sketches."""


def hashes(ids: Iterable[str], count: int) -> npt.NDArray[np.uint64]:
    """The 64-bit hash (XXH3) of each of `count` ids: the same on every machine and in every version."""
    return np.fromiter(map(xxhash.xxh3_64_intdigest, map(str.encode, ids)), np.uint64, count)


def coupons(hashed: npt.NDArray[np.uint64]) -> Ints:
    """The coupon of each hash."""
    register = (hashed >> np.uint64(_HASH_BITS)).astype(np.int64)
    rest = (hashed & np.uint64((1 << _HASH_BITS) - 1)).astype(np.float64)  # 48 bits: exact
    rank = _HASH_BITS + 1 - np.frexp(rest)[1]
    return register << RANK_BITS | rank


def estimate(registers: npt.NDArray[np.uint8]) -> int:
    """How many distinct ids made these registers (all 2^16 of them, 0 where no id fell)."""
    histogram = np.bincount(registers, minlength=_HASH_BITS + 2)
    z = REGISTERS * _tau(1 - histogram[_HASH_BITS + 1] / REGISTERS)
    for k in range(_HASH_BITS, 0, -1):
        z = 0.5 * (z + histogram[k])
    z += REGISTERS * _sigma(histogram[0] / REGISTERS)
    return round(_ALPHA * REGISTERS * REGISTERS / z)


def estimate_coupons(drawn: Coupons) -> int:
    """How many distinct ids made these coupons, in any order, repeats allowed."""
    registers = np.zeros(REGISTERS, np.uint8)
    np.maximum.at(registers, drawn >> RANK_BITS, (drawn & ((1 << RANK_BITS) - 1)).astype(np.uint8))
    return estimate(registers)


def _sigma(x: float) -> float:
    """Corrects for empty registers (Ertl 2017, algorithm 6)."""
    if x == 1:
        return math.inf
    y, z = 1.0, x
    while True:
        x *= x
        before = z
        z += x * y
        y += y
        if z == before:
            return z


def _tau(x: float) -> float:
    """Corrects for full registers (Ertl 2017, algorithm 6)."""
    if x in (0, 1):
        return 0.0
    y, z = 1.0, 1 - x
    while True:
        x = math.sqrt(x)
        before = z
        y *= 0.5
        z -= (1 - x) ** 2 * y
        if z == before:
            return z / 3
