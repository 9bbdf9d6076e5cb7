"""Budgets of computing time per client: a burst, and a rate per second. Pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

_MOST_ACCOUNTS = 10_000


@dataclass(slots=True)
class TokenBucket:
    """A token bucket of CPU seconds."""

    rate: float
    """CPU seconds added per second."""
    capacity_s: float
    """CPU seconds that are saved at most."""
    _left_s: float = field(default=0.0, init=False)
    _at_s: float | None = field(default=None, init=False)

    def left_s(self, now_s: float) -> float:
        """CPU seconds left; negative if a query took more than was left."""
        if self._at_s is None:
            self._left_s = self.capacity_s
        else:
            self._left_s = min(self.capacity_s, self._left_s + max(0.0, now_s - self._at_s) * self.rate)
        self._at_s = now_s
        return self._left_s

    def use(self, seconds: float, now_s: float) -> None:
        """Record CPU seconds used."""
        self._left_s = self.left_s(now_s) - seconds

    def wait_s(self, now_s: float) -> float:
        """Seconds until the budget is positive; 0: now."""
        return max(0.0, -self.left_s(now_s) / self.rate)


class Budgets:
    """A budget per token; all clients without a token share one."""

    def __init__(self, rate: float, capacity_s: float) -> None:
        self._rate = rate
        self._capacity_s = capacity_s
        self._held: OrderedDict[str, TokenBucket] = OrderedDict()

    def of(self, client: str) -> TokenBucket:
        """The budget of a client; a new one is full."""
        if client not in self._held:
            self._held[client] = TokenBucket(self._rate, self._capacity_s)
            if len(self._held) > _MOST_ACCOUNTS:
                self._held.popitem(last=False)
        return self._held[client]
