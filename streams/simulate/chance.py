"""Seeded randomness: an independent stream for each (seed, purpose, slice), and stable traits of users."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from streams.simulate.columns import Bytes, Floats, Ints


class Purpose(IntEnum):
    """Purpose of a random stream. Streams are independent; append members, never reorder them."""

    CATALOG = 0
    TRAFFIC = 1
    SESSIONS = 2
    BROWSING = 3
    ORDERS = 4
    PAYMENTS = 5
    FULFILMENT = 6
    STOCK = 7
    DISORDER = 8
    INCIDENT = 9
    VIEWS = 11
    LINES = 12
    PARTS = 13


def stream(seed: int, purpose: Purpose, *path: int) -> np.random.Generator:
    """The generator of a purpose and, for example, a slice."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, purpose, *path])))


def trait(users: Ints, salt: int) -> Floats:
    """A constant number in [0, 1) for each user (splitmix64 of number and salt)."""
    x = users.astype(np.uint64) + np.uint64((salt * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Floats = ((x ^ (x >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) / float(1 << 53)
    return mixed


def pick(uniform: Floats, weights: tuple[float, ...]) -> Bytes:
    """Weighted indexes for uniform numbers."""
    edges = np.cumsum(np.asarray(weights, dtype=np.float64))
    codes: Bytes = np.searchsorted(edges[:-1] / edges[-1], uniform, side="right").astype(np.uint8)
    return codes


def lognormal_ms(rng: np.random.Generator, size: int, median_s: float, sigma: float, speed: float = 1.0) -> Ints:
    """Lognormal delays in ms, at least 1, with the median (seconds) divided by `speed`."""
    delays = np.exp(rng.standard_normal(size) * sigma) * (median_s * 1000.0 / speed)
    delays_ms: Ints = np.maximum(delays, 1.0).astype(np.int64)
    return delays_ms
