"""The series of one rule, in the order in which they turned up: places of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from alerts.detection.panes import ScopeValue
from alerts.detectors.arrays import Bools, Ints
from alerts.findings import Labels

WHOLE_SHOP: ScopeValue = ("all", "")
MAX_SERIES = 20_000
"""Of one rule; what turns up later is not watched."""


@dataclass(slots=True)
class SeriesIndex:
    """Labels and their places."""

    labels: list[ScopeValue] = field(default_factory=list)
    """# [place]"""
    of: dict[ScopeValue, int] = field(default_factory=dict)

    @classmethod
    def from_labels(cls, labels: Sequence[ScopeValue]) -> SeriesIndex:
        """As they were."""
        return cls(list(labels), {label: place for place, label in enumerate(labels)})

    def add(self, label: ScopeValue) -> int:
        """Its place, made on first sight; -1 when there is no room."""
        place = self.of.get(label)
        if place is None:
            if len(self.labels) >= MAX_SERIES:
                return -1
            place = self.of[label] = len(self.labels)
            self.labels.append(label)
        return place

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, row_of: Mapping[ScopeValue, int]) -> Ints:
        """Where each place is in something else, -1 where it is not."""
        return np.fromiter((row_of.get(label, -1) for label in self.labels), np.int64, len(self.labels))

    def mask(self, chosen: Sequence[bool]) -> Bools:
        return np.fromiter(chosen, np.bool_, len(self.labels))


def to_labels(label: ScopeValue) -> Labels:
    """As findings have them."""
    scope, value = label
    if scope == "all":
        return ()
    if scope == "source":
        topic, _, source = value.partition("/")
        return (("source", source), ("topic", topic))
    return ((scope, value),)
