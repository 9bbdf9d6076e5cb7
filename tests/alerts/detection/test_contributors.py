"""Attribution of changes to parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.detection.contributors import DimensionBreakdown, contributors, find_explaining_part, rate_and_mix_effects

CHANNELS = [("channel", "app"), ("channel", "web"), ("channel", "live")]


def parts(
    shares: list[float], rates: list[float], usual_rates: list[float], usual_shares: list[float] | None = None
) -> DimensionBreakdown:
    share, rate, before = np.array(shares), np.array(rates), np.array(usual_rates)
    views = 10_000 * share
    usual = share if usual_shares is None else np.array(usual_shares)
    return DimensionBreakdown(CHANNELS[: len(share)], usual, share, before, rate, views * rate, views * before)


@given(
    st.lists(
        st.tuples(st.floats(0.05, 1), st.floats(0.05, 1), st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=3
    )
)
def test_rate_and_mix_effects_add_up_to_the_change(given_parts: list[tuple[float, float, float, float]]) -> None:
    s0, s1, r0, r1 = (np.array(column) for column in zip(*given_parts, strict=True))
    s0, s1 = s0 / s0.sum(), s1 / s1.sum()
    found = DimensionBreakdown(CHANNELS[: len(s0)], s0, s1, r0, r1, s1 * r1, s1 * r0)
    rate, mix = rate_and_mix_effects(found)
    assert float((rate + mix).sum()) == pytest.approx(float((s1 * r1).sum() - (s0 * r0).sum()), abs=1e-9)


def test_a_shift_to_a_channel_that_converts_less_is_mix_not_rate() -> None:
    cut = parts([0.3, 0.7], [0.10, 0.02], [0.10, 0.02], usual_shares=[0.7, 0.3])
    rate, mix = rate_and_mix_effects(cut)
    assert rate == pytest.approx([0, 0])
    assert mix.sum() < 0
    assert all(part.rate_effect == pytest.approx(0) for part in contributors({"channel": cut}))


def test_the_part_that_fell_is_the_explaining_part() -> None:
    cut = {"channel": parts([0.5, 0.3, 0.2], [0.02, 0.05, 0.05], [0.05] * 3)}
    assert find_explaining_part(cut, least_effect=0.1, rise=False) == ("channel", "app")
    first = contributors(cut)[0]
    assert first.labels == (("channel", "app"),)
    assert first.rate_effect == pytest.approx(1)


def test_an_even_change_has_no_explaining_part() -> None:
    """The largest part has most of the loss, but did not fall more than the others."""
    cut = {"channel": parts([0.8, 0.1, 0.1], [0.04] * 3, [0.05] * 3)}
    assert find_explaining_part(cut, least_effect=0.1, rise=False) is None


def test_the_explaining_part_stays_while_it_has_most_of_the_change() -> None:
    cut = {"channel": parts([0.5, 0.3, 0.2], [0.03, 0.04, 0.05], [0.05] * 3)}
    assert find_explaining_part(cut, least_effect=0.1, rise=False) is None
    assert find_explaining_part(cut, least_effect=0.1, rise=False, explaining_part=("channel", "app")) == (
        "channel",
        "app",
    )


def test_a_rise_in_one_part_is_explained_too() -> None:
    cut = {"channel": parts([0.5, 0.3, 0.2], [0.07, 0.07, 0.40], [0.07] * 3)}
    assert find_explaining_part(cut, least_effect=0.4, rise=True) == ("channel", "live")
