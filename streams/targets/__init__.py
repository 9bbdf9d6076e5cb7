"""Will a promotion reach its targets? The net GMV it is expected to come to, and the probability of each tier.

`forecast(now, earlier)` is pure: curves in, a distribution out. The model and its calibration are told in
`docs/targets.md`.
"""

from streams.targets.curve import Curve, day_curve
from streams.targets.forecast import CELLS, EarlierPromotion, Forecast, forecast

__all__ = ["CELLS", "Curve", "EarlierPromotion", "Forecast", "day_curve", "forecast"]
