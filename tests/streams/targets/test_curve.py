"""A curve holds cumulative sales, linearly interpolated."""

from __future__ import annotations

import numpy as np
import pytest

from streams.targets import Curve


def test_interpolates_linearly_from_zero() -> None:
    curve = Curve.of([(10, 100), (20, 400)], 40)
    assert curve.at(np.array([0, 0.125, 0.25, 0.375, 0.5])).tolist() == [0, 50, 100, 250, 400]
    assert curve.sold(np.array([0.25, 0.375, 0.5])).tolist() == [150, 150]
    assert (curve.elapsed, curve.last) == (0.5, 400)


def test_accepts_a_point_at_the_start() -> None:
    assert Curve.of([(0, 0), (10, 5)], 10).until.tolist() == Curve.of([(10, 5)], 10).until.tolist()


def test_refunds_may_lower_the_curve() -> None:
    assert Curve.of([(1, 100), (2, 40)], 2).last == 40


@pytest.mark.parametrize("points", [[(5, 1), (5, 2)], [(6, 1), (5, 2)], [(11, 1)], [(-1, 0)]])
def test_rejects_invalid_curves(points: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="must ascend"):
        Curve.of(points, 10)


def test_rejects_a_length_of_zero() -> None:
    with pytest.raises(ValueError, match="must be positive"):
        Curve.of([], 0)
