"""The power table: its documentation, and its agreement with the scan."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alerts.detection.sequential import sequential_parameters
from alerts.evaluate import budgets_of
from alerts.rehearsal.bounds import FALSE_PER_DAY, poisson_bound_s
from alerts.rules.detect import SequentialDetector
from alerts.rules.loader import default_text, load
from alerts.statistics.evidence import LENGTHS, false_alarms_per_day
from alerts.statistics.power import detection_s, power_lines, thinned

DOCS = Path(__file__).parents[3] / "docs" / "alerts.md"
RULES = load(default_text(), "default").rules
DETECT = next(rule.detect for rule in RULES.rules if rule.name == "order-drop")
assert isinstance(DETECT, SequentialDetector)
ORDERS = sequential_parameters(DETECT)
POISSON = np.ones(LENGTHS)
PARTS = 25
"""Channels, regions and categories."""


def test_the_table_in_the_docs_is_the_computed_one() -> None:
    """Of `order-drop`: eight of ten checkouts become orders, within some seconds."""
    whole, part, *_ = false_alarms_per_day(budgets_of(RULES)["order-drop"], np.arange(1 + PARTS) == 0).tolist()
    lines = power_lines(
        (200, 1000, 5000),
        (1, 0.5, 0.2, 0.05),
        (0.1, 0.2, 0.4, 0.8),
        dispersion=thinned(0.8, 8.0),
        per_day=(whole, part),
        parameters=ORDERS,
    )
    assert "\n".join(lines) in DOCS.read_text(encoding="utf-8")


def poisson_s(rate: float, kept: float, least_sample: float = ORDERS.least_sample) -> float:
    """Seconds until a fall of Poisson counts is detected."""
    parameters = replace(ORDERS, least_sample=least_sample)
    return detection_s(rate, kept, dispersion=POISSON, false_per_day=FALSE_PER_DAY, parameters=parameters)


@pytest.mark.parametrize("kept", [0.8, 0.5, 0.0])
def test_the_delay_is_near_lordens_bound(kept: float) -> None:
    assert poisson_s(16.7, kept, least_sample=1) <= 1.5 * poisson_bound_s(16.7, kept) + 1


def test_the_least_sample_delays_what_is_plain() -> None:
    assert poisson_s(0.5, 0.0, least_sample=1) < poisson_s(0.5, 0.0, least_sample=30)


def test_what_is_too_small_is_never_detected() -> None:
    assert math.isinf(poisson_s(0.17, 0.9))
    assert math.isinf(poisson_s(1000, 0.93))
