"""Reproducible randomness."""

from __future__ import annotations

import os
from random import Random, randrange

import pytest

SEED = "SALEPULSE_SEED"


@pytest.fixture
def rng() -> Random:
    """A generator whose seed is printed if the test fails; SALEPULSE_SEED=... repeats it."""
    seed = int(os.environ.get(SEED) or randrange(10**6))
    print(f"{SEED}={seed}")  # noqa: T201
    return Random(seed)
