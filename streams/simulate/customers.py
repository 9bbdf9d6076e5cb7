"""Who has bought before."""

from __future__ import annotations

import numpy as np

from streams.simulate.chance import trait
from streams.simulate.columns import Bools, Ints


class Customers:
    """One flag a user: a known share has bought before the run, the others when they first order."""

    def __init__(self, users: int, known: float) -> None:
        self._bought: Bools = trait(np.arange(users, dtype=np.int64), 4) < known

    def first_orders(self, users: Ints) -> Bools:
        """Of orders by these users, in their order: which is the user's first. Takes note of all."""
        _, earliest = np.unique(users, return_index=True)
        first = np.zeros(len(users), dtype=np.bool_)
        first[earliest] = ~self._bought[users[earliest]]
        self._bought[users] = True
        return first
