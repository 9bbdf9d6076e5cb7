"""Revenue of the whole shop, the scale of losses."""

from __future__ import annotations

import math
from dataclasses import dataclass

_HALF_LIFE_S = 1800.0


@dataclass(slots=True)
class RevenueRate:
    """GMV and paid orders as exponential moving sums; minor units."""

    seconds: float = 0.0
    gmv: float = 0.0
    paid: float = 0.0

    def add(self, gmv: float, paid: float, dt_s: float) -> None:
        """Add the sums of some seconds."""
        keep = 0.5 ** (dt_s / _HALF_LIFE_S)
        self.seconds = self.seconds * keep + dt_s
        self.gmv = self.gmv * keep + gmv
        self.paid = self.paid * keep + paid

    @property
    def gmv_per_minute(self) -> float:
        """GMV per minute; NaN without data."""
        return 60 * self.gmv / self.seconds if self.seconds else math.nan

    @property
    def aov(self) -> float:
        """Average order value; NaN without paid orders."""
        return self.gmv / self.paid if self.paid else math.nan
