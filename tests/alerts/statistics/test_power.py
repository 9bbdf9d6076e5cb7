"""The power table: its documentation, and its agreement with the scan."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from alerts.statistics.evidence import LENGTHS
from alerts.statistics.power import detection_s, power_lines, thinned

DOCS = Path(__file__).parents[3] / "docs" / "alerts.md"
POISSON = np.ones(LENGTHS)


def test_the_table_in_the_docs_is_the_computed_one() -> None:
    """Of `order-drop`: eight of ten checkouts become orders, within some seconds."""
    lines = power_lines(
        (200, 1000, 5000), (1, 0.5, 0.2, 0.05), (0.1, 0.2, 0.4, 0.8), phi=thinned(0.8, 8.0), per_day=(0.05, 0.002)
    )
    assert "\n".join(lines) in DOCS.read_text(encoding="utf-8")


@pytest.mark.parametrize("kept", [0.8, 0.5, 0.0])
def test_the_delay_is_near_lordens_bound(kept: float) -> None:
    information = kept * math.log(kept) - kept + 1 if kept else 1.0
    bound = math.log(86_400 / 0.05) / (16.7 * information)
    assert detection_s(16.7, kept, phi=POISSON, false_per_day=0.05) <= 1.5 * bound + 1


def test_what_is_too_small_is_never_detected() -> None:
    assert math.isinf(detection_s(0.17, 0.9, phi=POISSON, false_per_day=0.05))
