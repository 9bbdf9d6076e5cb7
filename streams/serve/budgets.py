"""Computing time that somebody may use: so much at once, and a share of every second. Pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

_MOST_ACCOUNTS = 10_000


@dataclass(slots=True)
class TokenBucket:
    """A token bucket of seconds of computing."""

    rate: float
    """Seconds that come in each second."""
    capacity_s: float
    """And how many are kept."""
    _left_s: float = field(default=0.0, init=False)
    _at_s: float | None = field(default=None, init=False)

    def left_s(self, now_s: float) -> float:
        """What may be used; below 0 where more was used than there was: what something takes is known afterwards."""
        if self._at_s is None:
            self._left_s = self.capacity_s
        else:
            self._left_s = min(self.capacity_s, self._left_s + max(0.0, now_s - self._at_s) * self.rate)
        self._at_s = now_s
        return self._left_s

    def use(self, seconds: float, now_s: float) -> None:
        """So much was used."""
        self._left_s = self.left_s(now_s) - seconds

    def wait_s(self, now_s: float) -> float:
        """How long until something may be used; 0: now."""
        return max(0.0, -self.left_s(now_s) / self.rate)


class Budgets:
    """An allowance for each token; all who need none are one."""

    def __init__(self, rate: float, capacity_s: float) -> None:
        self._rate = rate
        self._capacity_s = capacity_s
        self._held: OrderedDict[str, TokenBucket] = OrderedDict()

    def of(self, client: str) -> TokenBucket:
        """Whose allowance it is; a new one is full."""
        if client not in self._held:
            self._held[client] = TokenBucket(self._rate, self._capacity_s)
            if len(self._held) > _MOST_ACCOUNTS:
                self._held.popitem(last=False)
        return self._held[client]
