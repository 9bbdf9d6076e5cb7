"""A budget of false alarms, shared over rules and their series.

Each test has a mean time between false alarms; rates of false alarms add up, whatever the tests have to do with each
other. So shares that add up to the budget keep to it.
"""

from __future__ import annotations

import numpy as np

from alerts.detectors.arrays import Bools, Floats

DAY_S = 86_400.0
PARENT_SHARE = 0.5
_LEAST_CHILDREN = 10
"""A rule's children share as if they were at least so many, so that thresholds do not move while they turn up."""


def log_seconds_between(false_per_day: float, is_parent: Bools) -> Floats:
    """Log of the mean seconds between false alarms that each series of a rule may have: (series).

    The whole shop has half of the rule's share, for it sees most and soonest; the other half is shared evenly.
    """
    children = max(int((~is_parent).sum()), _LEAST_CHILDREN)
    has_children = not bool(is_parent.all())
    of_parent = PARENT_SHARE if has_children else 1.0
    of_child = (1 - PARENT_SHARE if is_parent.any() else 1.0) / children
    answer: Floats = np.log(DAY_S / (false_per_day * np.where(is_parent, of_parent, of_child)))
    return answer
