"""The series of one rule as array indexes, in order of first occurrence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from alerts.detection.panes import ScopeValue
from alerts.findings import Labels
from alerts.statistics.arrays import Bools, Ints

WHOLE_SHOP: ScopeValue = ("all", "")
MAX_SERIES = 20_000
"""Maximum number of series of one rule; later ones are not watched."""


@dataclass(slots=True)
class SeriesIndex:
    """Labels and their indexes."""

    labels: list[ScopeValue] = field(default_factory=list)
    """# [index]"""
    of: dict[ScopeValue, int] = field(default_factory=dict)
    """# label: index"""

    @classmethod
    def from_labels(cls, labels: Sequence[ScopeValue]) -> SeriesIndex:
        """Restore from labels."""
        return cls(list(labels), {label: index for index, label in enumerate(labels)})

    def add(self, label: ScopeValue) -> int:
        """The index of a label, added if new; -1 if the limit is reached."""
        index = self.of.get(label)
        if index is None:
            if self.is_full:
                return -1
            index = self.of[label] = len(self.labels)
            self.labels.append(label)
        return index

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def is_full(self) -> bool:
        """Whether no other series is watched."""
        return len(self.labels) >= MAX_SERIES

    def rows(self, row_of: Mapping[ScopeValue, int]) -> Ints:
        """The row of each index, looked up by its label; -1 if absent."""
        return np.fromiter((row_of.get(label, -1) for label in self.labels), np.int64, len(self.labels))

    def mask(self, chosen: Sequence[bool]) -> Bools:
        """Convert one flag for each index to an array."""
        return np.fromiter(chosen, np.bool_, len(self.labels))


def to_labels(label: ScopeValue) -> Labels:
    """Convert (scope, value) to the labels of a finding."""
    scope, value = label
    if scope == "all":
        return ()
    if scope == "source":
        topic, _, source = value.partition("/")
        return (("source", source), ("topic", topic))
    return ((scope, value),)


def to_label(labels: Labels) -> ScopeValue:
    """Convert the labels of a finding to (scope, value)."""
    if not labels:
        return WHOLE_SHOP
    by_name = dict(labels)
    return ("source", f"{by_name.get('topic', '')}/{by_name['source']}") if "source" in by_name else labels[0]
