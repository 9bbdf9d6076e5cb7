"""A curve holds cumulative sales, linearly interpolated."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.model.target_forecast import Curve, EarlierPromotion, Forecast, day_curve, forecast, t_quantile
from tests.streams.model.curves import MINUTES, falling, orders, smooth


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


DAY = day_curve(MINUTES, lambda minute: 20 + minute / 60)
LAST = EarlierPromotion("last", smooth())
MOMENTS = (0.1, 0.25, 0.5, 0.75, 0.9, 0.97)


def forecast_of(now: Curve, *earlier: EarlierPromotion) -> Forecast:
    found = forecast(now, earlier, DAY)
    assert found is not None
    return found


def sold(share: float) -> float:
    """Sales of the last promotion up to an elapsed share."""
    return float(LAST.curve.at(np.array([share]))[0])


class TestByEarlierPromotions:
    @pytest.mark.parametrize("until", MOMENTS)
    @pytest.mark.parametrize("scale", [300.0, 1_000.0, 9_000.0])
    def test_a_promotion_like_the_last_is_expected_to_end_like_it(self, until: float, scale: float) -> None:
        found = forecast_of(smooth(scale=scale, until=until), LAST)
        assert found.expected == pytest.approx(smooth(scale=scale).last, rel=1e-3)

    def test_promotions_of_other_lengths_are_scaled(self) -> None:
        half = Curve(LAST.curve.minutes / 2, LAST.curve.until, MINUTES / 2)
        found = forecast_of(smooth(until=0.4), EarlierPromotion("half", half))
        assert found.expected == pytest.approx(LAST.curve.last, rel=1e-3)

    def test_certainty_grows_with_time(self) -> None:
        widths = [found.high - found.low for until in MOMENTS for found in [forecast_of(smooth(until=until), LAST)]]
        assert widths == sorted(widths, reverse=True)
        assert widths[-1] < widths[0] / 20

    def test_recent_sales_weigh_more(self) -> None:
        """The opening was twice as strong as last time; since then sales are equal."""
        now = smooth(lambda share: falling(share) * (2 if share < 0.1 else 1), until=0.7)
        by_total = now.last / sold(0.7) * LAST.curve.last
        assert forecast_of(now, LAST).expected < (by_total + now.last + LAST.curve.last - sold(0.7)) / 2

    def test_agreeing_promotions_increase_certainty(self) -> None:
        now = smooth(until=0.5)
        one, three = forecast_of(now, LAST), forecast_of(now, LAST, LAST, LAST)
        assert three.high - three.low < one.high - one.low

    def test_disagreeing_promotions_decrease_certainty(self) -> None:
        def steep(share: float) -> float:
            return falling(share) * (3 if share > 0.5 else 1)

        now = smooth(until=0.5)
        alike, apart = forecast_of(now, LAST, LAST), forecast_of(now, LAST, EarlierPromotion("steep", smooth(steep)))
        assert apart.high - apart.low > 2 * (alike.high - alike.low)
        assert LAST.curve.last < apart.expected < smooth(steep).last

    def test_few_large_orders_decrease_certainty(self) -> None:
        last = EarlierPromotion("last", orders(count=20_000, seed=1))
        few, many = (forecast_of(orders(count=count, seed=2, until=0.5), last) for count in (60, 20_000))
        assert (few.high - few.low) / few.expected > 1.5 * (many.high - many.low) / many.expected

    def test_uninformative_promotions_are_ignored(self) -> None:
        unsold = EarlierPromotion("unsold", Curve.of([(MINUTES, 0)], MINUTES))
        over = EarlierPromotion("over at once", Curve.of([(1, 100), (MINUTES, 100)], MINUTES))
        now = smooth(until=0.5)
        assert forecast_of(now, unsold, LAST, over).expected == forecast_of(now, LAST).expected


class TestByTheUsualDay:
    def test_the_day_shape_is_far_less_certain(self) -> None:
        now = smooth(until=0.5)
        alone, after = forecast_of(now), forecast_of(now, LAST)
        assert alone.high - alone.low > 2 * (after.high - after.low)

    def test_certainty_grows_with_time(self) -> None:
        found = [forecast_of(smooth(until=until)) for until in MOMENTS[1:]]
        widths = [(one.high - one.low) / one.expected for one in found]
        assert widths == sorted(widths, reverse=True)

    def test_too_early_there_is_no_forecast(self) -> None:
        assert forecast(smooth(until=0.1), (), DAY) is None

    def test_without_a_day_shape_there_is_no_forecast(self) -> None:
        assert forecast(smooth(until=0.5), ()) is None

    def test_a_coming_night_lowers_the_forecast(self) -> None:
        night = day_curve(600, lambda minute: 18 + minute / 60)
        day = day_curve(600, lambda minute: 6 + minute / 60)
        now = Curve.of([(minute, minute * 100.0) for minute in range(10, 301, 10)], 600)
        ahead = [found.expected for shape in (night, day) if (found := forecast(now, (), shape))]
        assert ahead[0] < ahead[1]


class TestProbability:
    @given(st.sampled_from(MOMENTS), st.floats(0.2, 5), st.floats(0.2, 5))
    def test_a_higher_target_is_less_probable(self, until: float, one: float, other: float) -> None:
        found, final = forecast_of(smooth(until=until), LAST), LAST.curve.last
        low, high = sorted((one * final, other * final))
        assert 0 <= found.probability(high) <= found.probability(low) <= 1

    @given(st.sampled_from(MOMENTS), st.floats(0.02, 0.98))
    def test_quantiles_and_probabilities_agree(self, until: float, probability: float) -> None:
        found = forecast_of(smooth(until=until), LAST)
        assert found.probability(found.quantile(probability)) == pytest.approx(1 - probability, abs=0.01)

    def test_reached_targets_are_certain_and_distant_ones_improbable(self) -> None:
        found = forecast_of(smooth(until=0.5), LAST)
        assert found.probability(smooth(until=0.5).last * 0.99) == pytest.approx(1)
        assert found.probability(LAST.curve.last * 3) < 0.001
        assert found.probability(found.expected) == pytest.approx(0.5, abs=0.01)
        assert found.low < found.expected < found.high

    def test_at_the_end_the_forecast_is_the_result(self) -> None:
        found = forecast_of(smooth())
        assert found.expected == pytest.approx(smooth().last)
        assert (found.probability(smooth().last), found.probability(smooth().last + 1)) == (1, 0)


class TestNothingToSay:
    def test_no_forecast_before_the_first_sale(self) -> None:
        assert forecast(Curve.of([(100, 0.0)], MINUTES), (LAST,), DAY) is None

    def test_handles_refunds_above_sales(self) -> None:
        assert forecast(Curve.of([(100, 50.0), (200, -80.0)], MINUTES), (LAST,), DAY) is None

    @given(
        st.lists(st.integers(-1_000, 5_000), min_size=1, max_size=30), st.lists(st.integers(-500, 5_000), max_size=30)
    )
    def test_any_curves_give_a_distribution_or_none(self, now: list[int], last: list[int]) -> None:
        def curve(steps: list[int], length: float) -> Curve:
            total, points = 0, []
            for minute, step in enumerate(steps, 1):
                total += step
                points.append((float(minute), float(total)))
            return Curve.of(points, length)

        earlier = [EarlierPromotion("last", curve(last, len(last)))] if last else []
        found = forecast(curve(now, 40), earlier, replace(DAY, length=MINUTES))
        if found is not None:
            assert math.isfinite(found.expected)
            assert found.low <= found.expected <= found.high
            assert 0 <= found.probability(1_000) <= 1


def summed(t: float, freedom: float) -> float:
    """The probability by Simpson's rule over the density."""
    log_c = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - math.log(freedom * math.pi) / 2

    def density(x: float) -> float:
        return math.exp(log_c - (freedom + 1) / 2 * math.log1p(x * x / freedom))

    steps = 2_000
    width = t / steps
    inner = sum((4 if i % 2 else 2) * density(i * width) for i in range(1, steps))
    return 0.5 + width / 3 * (density(0) + inner + density(t))


@pytest.mark.parametrize("freedom", [3, 5, 6, 10, 40])
@pytest.mark.parametrize("probability", [0.005, 0.1, 0.35, 0.5, 0.9, 0.999])
def test_the_error_of_a_quantile_is_below_two_in_a_thousand(freedom: float, probability: float) -> None:
    assert summed(t_quantile(probability, freedom), freedom) == pytest.approx(probability, abs=0.002)
