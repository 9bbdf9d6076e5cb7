"""Comparisons of a view's answers with the oracle, and with another view."""

from __future__ import annotations

from collections.abc import Iterable

from streams.clock import now_ms
from streams.view.rolling import RollingView
from tests.streams.shop import Shop, ask, listed
from tests.support.oracle import SCOPES, WINDOWS, assert_agree


async def assert_true(
    shop: Shop,
    view: RollingView,
    *,
    at: int | None = None,
    windows: Iterable[str] = WINDOWS,
    scopes: Iterable[str] = SCOPES,
    promotion: str | None = None,
) -> None:
    """Every window and scope equals the oracle, for each value and in lists."""
    oracle = shop.oracle()
    as_of_ms = view.as_of(now_ms()).ms if at is None else at
    assert as_of_ms is not None
    for window in windows:
        for scope in scopes:
            if scope == "all":
                expected = oracle.ask(window, as_of_ms, promotion=promotion)
                assert_agree(await ask(view, window, at=at, promotion=promotion), expected, window, as_of_ms)
                continue
            if (window, scope) == ("promotion", "promotion"):
                continue  # see test_promotions
            found = await listed(view, window, scope, at=at, promotion=promotion)
            held = oracle.values(window, as_of_ms, scope, promotion=promotion)
            assert set(found) == set(held), (window, scope, as_of_ms)
            assert [held[value] for value in found] == sorted(held.values(), reverse=True), "the largest by GMV first"
            for value, numbers in found.items():
                expected = oracle.ask(window, as_of_ms, scope, value, promotion=promotion)
                assert_agree(numbers, expected, window, scope, value, as_of_ms)


async def assert_same(one: RollingView, other: RollingView, *, at: int | None = None) -> None:
    """Two views give equal answers, with equal distinct counts."""
    for window in WINDOWS:
        for scope in SCOPES:
            assert await listed(one, window, scope, at=at) == await listed(other, window, scope, at=at), (window, scope)
