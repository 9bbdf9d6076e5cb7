"""Forecast of a promotion's final net GMV, and the probability of reaching each target.

`forecast(now, earlier)` is pure: curves in, a distribution out. `docs/targets.md` describes the model and its
calibration.
"""

from streams.targets.curve import Curve, day_curve
from streams.targets.forecast import CELLS, EarlierPromotion, Forecast, forecast

__all__ = ["CELLS", "Curve", "EarlierPromotion", "Forecast", "day_curve", "forecast"]
