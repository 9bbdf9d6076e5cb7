"""Histograms of any number of panes and rows, as sorted arrays: DDSketch with buckets that are linear in each octave.

Values below 128 have a bucket each; above, each octave (from a power of 2 to the next) has 64 buckets. A bucket is at
most 1/64 of its lower bound wide, so its middle is within 1/128 (0.8 %) of all its values. Buckets are computed in
integers: the same on every machine. Source: Masson, Rim and Lee, "DDSketch: a fast and fully-mergeable quantile sketch
with relative-error guarantees", VLDB 2019; the mapping is its "linearly interpolated" one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from streams.panes.arrays import NO_INTS, Ints, is_first, numbered, parts_at, stretch_of
from streams.panes.keys import coarse_keys, ids_of, key_range, keys_in_one_pane, panes_of, rows_of

MAX_VALUE = 10**15
BUCKET_BITS = 12
"""Bits of a bucket: enough for that of `MAX_VALUE`."""
_OCTAVE_BITS = 6

Buckets = npt.NDArray[np.uint16]


def buckets_of(values: Ints) -> Buckets:
    """The bucket of each value from 0 to `MAX_VALUE`; others fall in the first or the last bucket."""
    values = np.clip(values, 0, MAX_VALUE)
    exponents = np.maximum(np.frexp(values.astype(np.float64))[1].astype(np.int64) - (_OCTAVE_BITS + 1), 0)
    return ((exponents << _OCTAVE_BITS) + (values >> exponents)).astype(np.uint16)


def middles_of(buckets: Buckets) -> Ints:
    """The value that stands for each bucket."""
    numbers = buckets.astype(np.int64)
    exponents = np.maximum((numbers >> _OCTAVE_BITS) - 1, 0)
    middles: Ints = ((numbers - (exponents << _OCTAVE_BITS)) << exponents) + ((1 << exponents) - 1 >> 1)
    return middles


@dataclass(frozen=True, slots=True)
class Histograms:
    """One histogram per group: sorted distinct keys (`streams.panes.keys`).

    Group i has the buckets `buckets[ends[i - 1]:ends[i]]`, sorted and distinct, and parallel counts, none of them 0.
    """

    groups: Ints = field(default_factory=lambda: NO_INTS)
    ends: Ints = field(default_factory=lambda: NO_INTS)
    buckets: Buckets = field(default_factory=lambda: np.zeros(0, np.uint16))
    counts: Ints = field(default_factory=lambda: NO_INTS)

    @property
    def panes(self) -> Ints:
        """Start of each group's pane, epoch seconds."""
        return panes_of(self.groups)

    @property
    def rows(self) -> Ints:
        """Row of each group."""
        return rows_of(self.groups)

    @property
    def ids(self) -> Ints:
        """Measure id of each group."""
        return ids_of(self.groups)

    @property
    def sizes(self) -> Ints:
        """Number of buckets of each group."""
        return np.diff(self.ends, prepend=0)

    def __bool__(self) -> bool:
        return bool(len(self.groups))

    def between(self, start_s: int, end_s: int) -> Histograms:
        """Groups of panes that start in [start_s, end_s)."""
        first, last = key_range(self.groups, start_s, end_s)
        within, ends = stretch_of(self.ends, first, last)
        return Histograms(self.groups[first:last], ends, self.buckets[within], self.counts[within])

    def of_row(self, row: int) -> Histograms:
        """Groups of one row."""
        chosen = np.flatnonzero(self.rows == row)
        indexes, ends = parts_at(self.ends, chosen)
        return Histograms(self.groups[chosen], ends, self.buckets[indexes], self.counts[indexes])

    def in_one_pane(self) -> Histograms:
        """Sums over all panes, in pane 0."""
        return histograms_of(np.repeat(keys_in_one_pane(self.groups), self.sizes), self.buckets, self.counts)

    def coarsen(self, step_s: int) -> Histograms:
        """Sums in panes of `step_s` seconds."""
        return histograms_of(np.repeat(coarse_keys(self.groups, step_s), self.sizes), self.buckets, self.counts)

    def negated(self) -> Histograms:
        """The histograms that cancel these out when merged with them."""
        return Histograms(self.groups, self.ends, self.buckets, -self.counts)


NO_HISTOGRAMS = Histograms()


def histograms_of(groups: Ints, buckets: Buckets, counts: Ints) -> Histograms:
    """Histograms from single counts: `counts[i]` values of group `groups[i]` in bucket `buckets[i]`, in any order."""
    if not len(groups):
        return NO_HISTOGRAMS
    table, group_of = numbered(groups, np.argsort(groups, kind="stable"))
    codes = group_of << BUCKET_BITS | buckets
    order = np.argsort(codes, kind="stable")  # merges the parts, which are sorted runs
    codes = codes[order]
    firsts = np.flatnonzero(is_first(codes))
    codes, counts = codes[firsts], np.add.reduceat(counts[order], firsts)
    if not counts.all():
        codes, counts = codes[counts != 0], counts[counts != 0]
    sizes = np.bincount(codes >> BUCKET_BITS, minlength=len(table))
    present = sizes > 0
    in_group = (codes & ((1 << BUCKET_BITS) - 1)).astype(np.uint16)
    return Histograms(table[present], np.cumsum(sizes[present]), in_group, counts)


def merge_histograms(parts: Sequence[Histograms]) -> Histograms:
    """The sum of all parts: associative and commutative."""
    parts = [part for part in parts if part]
    if len(parts) <= 1:
        return parts[0] if parts else NO_HISTOGRAMS
    return histograms_of(
        np.concatenate([np.repeat(part.groups, part.sizes) for part in parts]),
        np.concatenate([part.buckets for part in parts]),
        np.concatenate([part.counts for part in parts]),
    )


def quantiles_of(histograms: Histograms, percents: Sequence[int]) -> Ints:
    """Quantiles of each group: [group, percent]. Of n values, the one of rank floor(percent / 100 x (n - 1)), from 0.

    All counts must be positive.
    """
    cumulated = np.cumsum(histograms.counts)
    through = np.concatenate(([0], cumulated))[np.concatenate(([0], histograms.ends))]
    before, numbers = through[:-1], np.diff(through)
    ranks = before[:, None] + np.asarray(percents, np.int64) * (numbers - 1)[:, None] // 100
    return middles_of(histograms.buckets[np.searchsorted(cumulated, ranks, side="right")])
