"""Which parts a change of the whole comes from.

The whole's rate is the sum of share x rate over its parts. Its change is split into (Kitagawa, Journal of the American
Statistical Association 50, 1955):

- the **rate effect** of a part: the change of its rate, times the mean of its shares before and after;
- the **mix effect** of a part: the change of its share, times how far the mean of its rates is from the whole's.

Over all parts they add up to the change exactly; here each is given as a share of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from alerts.detection.panes import ScopeValue
from alerts.detectors.arrays import Floats
from alerts.findings import Contributor

MAX_CONTRIBUTORS = 3
_NAMED = 0.7
_STAYS_NAMED = 0.5
_LEAST_EXPECTED = 20.0


@dataclass(frozen=True, slots=True)
class DimensionBreakdown:
    """The whole cut by one dimension; arrays are parallel."""

    labels: Sequence[ScopeValue]
    usual_share: Floats
    share: Floats
    usual_rate: Floats
    """NaN where nothing is known."""
    rate: Floats
    counted: Floats
    expected: Floats


def rate_and_mix_effects(parts: DimensionBreakdown) -> tuple[Floats, Floats]:
    """(rate effect, mix effect) of each part, in the unit of the rate."""
    before, after = np.nan_to_num(parts.usual_rate), np.nan_to_num(parts.rate)
    whole = (float((parts.usual_share * before).sum()) + float((parts.share * after).sum())) / 2
    rate = (after - before) * (parts.usual_share + parts.share) / 2
    mix = (parts.share - parts.usual_share) * ((before + after) / 2 - whole)
    return rate, mix


def contributors(cut: Mapping[str, DimensionBreakdown]) -> tuple[Contributor, ...]:
    """The greatest parts over all dimensions, as shares of the change of the whole."""
    found: list[tuple[float, Contributor]] = []
    for parts in cut.values():
        rate, mix = rate_and_mix_effects(parts)
        change = float((rate + mix).sum())
        if change == 0:
            continue
        for i, (scope, value) in enumerate(parts.labels):
            of_rate, of_mix = float(rate[i] / change), float(mix[i] / change)
            said = Contributor(((scope, value),), of_rate, of_mix, _known(parts.rate[i]), _known(parts.usual_rate[i]))
            found.append((of_rate + of_mix, said))
    found.sort(key=lambda pair: (-pair[0], pair[1].labels))
    return tuple(said for _, said in found[:MAX_CONTRIBUTORS])


def find_explaining_part(
    cut: Mapping[str, DimensionBreakdown], *, least_effect: float, rise: bool, explaining_part: ScopeValue | None = None
) -> ScopeValue | None:
    """The part that the whole's change comes from alone: most of it is there, and all others are as usual.

    `explaining_part` is the one that was named before; it stays so while it still is the better part of it.
    """
    best: tuple[float, ScopeValue] | None = None
    for parts in cut.values():
        off = (parts.counted - parts.expected) * (1 if rise else -1)
        total = float(off.sum())
        if total <= 0:
            continue
        for i, label in enumerate(parts.labels):
            share = float(off[i]) / total
            others = float(parts.expected.sum() - parts.expected[i])
            others_off = (total - float(off[i])) / others if others > 0 else 0.0
            if label == explaining_part and share >= _STAYS_NAMED:
                return label
            # A part must stand out from its own kind, too: the largest part has most of what befalls all alike.
            own = float(off[i]) / float(parts.expected[i]) if parts.expected[i] > 0 else 0.0
            alone = share >= _NAMED and others_off <= least_effect / 2 and own > 2 * abs(others_off)
            if alone and parts.expected[i] >= _LEAST_EXPECTED and (best is None or share > best[0]):
                best = (share, label)
    return best[1] if best else None


def _known(number: float) -> float | None:
    return None if np.isnan(number) else float(number)
