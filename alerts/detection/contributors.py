"""Attribute a change of the whole to its parts.

The whole's rate is the sum of share x rate over its parts. Its change splits into (Kitagawa, Journal of the American
Statistical Association 50, 1955):

- the **rate effect** of a part: the change of its rate, times the mean of its shares before and after;
- the **mix effect** of a part: the change of its share, times the distance of its mean rate from the whole's.

The effects of all parts add up to the change; results are shares of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from alerts.detection.panes import ScopeValue
from alerts.findings import Contributor
from alerts.statistics.arrays import Floats

MAX_CONTRIBUTORS = 3
_NAMED = 0.7
"""Minimum share of the change for a part to explain it."""
_STAYS_NAMED = 0.5
"""Minimum share for a part that explained it before."""
_LEAST_EXPECTED = 20.0
"""Minimum expected events of a part that explains the change."""


@dataclass(frozen=True, slots=True)
class DimensionBreakdown:
    """The whole by one dimension; arrays are parallel."""

    labels: Sequence[ScopeValue]
    usual_share: Floats
    share: Floats
    usual_rate: Floats
    """NaN if unknown."""
    rate: Floats
    counted: Floats
    expected: Floats


def rate_and_mix_effects(parts: DimensionBreakdown) -> tuple[Floats, Floats]:
    """Return (rate effect, mix effect) of each part, in the unit of the rate."""
    before, after = np.nan_to_num(parts.usual_rate), np.nan_to_num(parts.rate)
    whole = (float((parts.usual_share * before).sum()) + float((parts.share * after).sum())) / 2
    rate = (after - before) * (parts.usual_share + parts.share) / 2
    mix = (parts.share - parts.usual_share) * ((before + after) / 2 - whole)
    return rate, mix


def contributors(cut: Mapping[str, DimensionBreakdown]) -> tuple[Contributor, ...]:
    """The largest contributors over all dimensions."""
    ranked: list[tuple[float, Contributor]] = []
    for parts in cut.values():
        rate, mix = rate_and_mix_effects(parts)
        change = float((rate + mix).sum())
        if change == 0:
            continue
        for i, (scope, value) in enumerate(parts.labels):
            of_rate, of_mix = float(rate[i] / change), float(mix[i] / change)
            contributor = Contributor(
                ((scope, value),), of_rate, of_mix, _known(parts.rate[i]), _known(parts.usual_rate[i])
            )
            ranked.append((of_rate + of_mix, contributor))
    ranked.sort(key=lambda pair: (-pair[0], pair[1].labels))
    return tuple(contributor for _, contributor in ranked[:MAX_CONTRIBUTORS])


def find_explaining_part(
    cut: Mapping[str, DimensionBreakdown], *, least_effect: float, rise: bool, explaining_part: ScopeValue | None = None
) -> ScopeValue | None:
    """The only part that explains the change of the whole: most of the change is in it, and the others are as usual.

    `explaining_part` is the previous result, which stays while half of the change is in it.
    """
    best: tuple[float, ScopeValue] | None = None
    for parts in cut.values():
        deviations = (parts.counted - parts.expected) * (1 if rise else -1)
        total = float(deviations.sum())
        if total <= 0:
            continue
        for i, label in enumerate(parts.labels):
            share = float(deviations[i]) / total
            others = float(parts.expected.sum() - parts.expected[i])
            deviation_of_others = (total - float(deviations[i])) / others if others > 0 else 0.0
            if label == explaining_part and share >= _STAYS_NAMED:
                return label
            # The part must change more than the others: the largest part has most of an even change, too.
            relative_change = float(deviations[i]) / float(parts.expected[i]) if parts.expected[i] > 0 else 0.0
            alone = (
                share >= _NAMED
                and deviation_of_others <= least_effect / 2
                and relative_change > 2 * abs(deviation_of_others)
            )
            if alone and parts.expected[i] >= _LEAST_EXPECTED and (best is None or share > best[0]):
                best = (share, label)
    return best[1] if best else None


def _known(number: float) -> float | None:
    return None if np.isnan(number) else float(number)
