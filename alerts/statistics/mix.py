"""Whether the whole shop falls only because its mix shifts, such as to a category that converts less.

Each part of a dimension is compared with its own usual level (direct standardization: Rothman, Greenland and Lash,
Modern Epidemiology, 3rd ed. 2008, chapter 4). A loss in any part, or in all of them, is missing in each dimension.
"""

from __future__ import annotations

from collections.abc import Sequence

from alerts.statistics.arrays import Floats, Ints
from alerts.statistics.steps import WindowPart

_EXPLAINED = 0.5
"""Share of the whole shop's fall that its parts may lack together."""
_COVERED = 0.95
"""Least share of the whole shop's `per` events that parts with a usual level must have."""


def is_shift_of_mix(window: Floats, level: Floats, dimensions: Sequence[Ints]) -> bool:
    """Whether in one dimension the parts lack less than half of what the whole shop, series 0, lacks.

    `window`: sums # [series, WindowPart]; `level`: usual level of each series, 0 if unknown; `dimensions`: the series
    of each.
    """
    counted, usual, inputs = window[:, WindowPart.COUNT], window[:, WindowPart.USUAL], window[:, WindowPart.INPUT]
    if counted[0] >= usual[0]:
        return False
    fall = 1 - counted[0] / usual[0]
    for places in dimensions:
        known = places[level[places] > 0]
        usual_sum = usual[known].sum()
        if usual_sum <= 0 or inputs[known].sum() < _COVERED * inputs[0]:
            continue
        if 1 - counted[known].sum() / usual_sum < _EXPLAINED * fall:
            return True
    return False
