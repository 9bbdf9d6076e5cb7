"""The answers to the table queries of the default rules.

Stock is exact, by 10 s; the tables of ads, shipping and targets (`every_table`) are noise around good values, because
`tests.bench.calm_days` tests their rules on events.
"""

from __future__ import annotations

import numpy as np

from alerts.detection.inputs import Table
from alerts.rules.rule import RuleScope
from streams.model.windows import Window
from tests.alerts.dense_panes import SETTLE_S
from tests.bench.study import shop
from tests.bench.study.journeys import Journeys, Seconds, StudyDay
from tests.bench.study.shop import Floats

STEP_S = 10
"""Step of the tables."""
_CAMPAIGNS = ("search-ads", "social-video")
_NO_REPEATS = Table(("",), {"repeat_payments": np.zeros(1), "gmv": np.zeros(1)})


class StudyTables:
    """The answers to the table queries of the default rules."""

    def __init__(self, day: StudyDay, journeys: Journeys, *, every_table: bool) -> None:
        self._every_table = every_table
        self._rng = np.random.default_rng([day.seed, 5])
        steps = (day.seconds - shop.PRE_S) // STEP_S + 1
        self._names = tuple(shop.sku_name(sku) for sku in shop.PROMOTED)
        created, cancelled, units = (
            _by_sku(journeys, at, steps) for at in (journeys.order_at, journeys.cancel_at, journeys.paid_at)
        )
        gmv = _by_sku(journeys, journeys.paid_at, steps, journeys.amount)
        begun = np.array([day.stock[sku] for sku in shop.PROMOTED], np.float64)
        self.stock = begun - created.cumsum(axis=0) + cancelled.cumsum(axis=0)
        """# [step, SKU]"""
        self._units, self._gmv = _of_last(units, 90), _of_last(gmv, 90)
        self._units_1m, self._gmv_1m = _of_last(units, 6), _of_last(gmv, 6)
        self._good: tuple[Table, ...] = ()
        self._good_at = -1

    def at(self, second: int) -> dict[tuple[Window, RuleScope], Table]:
        """The tables as of a second of the panes."""
        step = max(0, min((second - SETTLE_S) // STEP_S, len(self.stock) - 1))
        left, units = self.stock[step], self._units[step]
        with np.errstate(divide="ignore", invalid="ignore"):
            lasts = np.where(units > 0, np.where(left <= 0, 0.0, left / (units / 15)), np.nan)
        skus = Table(
            self._names,
            {
                "stock_available": left,
                "minutes_to_stockout": lasts,
                "oversold_units": np.maximum(0.0, -left),
                "units": units,
                "gmv": self._gmv[step],
            },
        )
        lately = Table(self._names, {"units": self._units_1m[step], "gmv": self._gmv_1m[step]})
        of_skus = {(Window.M15, RuleScope.SKU): skus, (Window.M1, RuleScope.SKU): lately}
        if not self._every_table:
            return {**of_skus, (Window.M15, RuleScope.ALL): _NO_REPEATS}
        if step != self._good_at:
            self._good, self._good_at = self._good_tables(), step
        repeats, shipping, regions, targets, ads, ads_hour, dispatch, warehouses = self._good
        return {
            **of_skus,
            (Window.M15, RuleScope.ALL): repeats,
            (Window.H24, RuleScope.ALL): shipping,
            (Window.H24, RuleScope.REGION): regions,
            (Window.PROMOTION, RuleScope.PROMOTION): targets,
            (Window.M15, RuleScope.CAMPAIGN): ads,
            (Window.H1, RuleScope.CAMPAIGN): ads_hour,
            (Window.H1, RuleScope.ALL): dispatch,
            (Window.H1, RuleScope.WAREHOUSE): warehouses,
        }

    def _good_tables(self) -> tuple[Table, ...]:
        def around(value: float, sd: float, width: int) -> Floats:
            return value + self._rng.standard_normal(width) * sd

        regions, two = len(shop.REGIONS), len(_CAMPAIGNS)
        shipped = {"gmv": np.zeros(1), "orders_due": np.full(1, 5000.0), "orders_paid": np.full(1, 5000.0)}
        return (
            _NO_REPEATS,
            Table(
                ("",),
                {
                    **shipped,
                    "ship_within_48h_rate": around(0.98, 0.002, 1),
                    "expected_breach_rate": around(0.02, 0.002, 1),
                },
            ),
            Table(
                (*shop.REGIONS,),
                {
                    "gmv": np.zeros(regions),
                    "orders_due": np.full(regions, 500.0),
                    "ship_within_48h_rate": around(0.98, 0.005, regions),
                },
            ),
            Table(("study",), {"target_probability.base": around(0.7, 0.02, 1), "gmv": np.zeros(1)}),
            Table(_CAMPAIGNS, {"cpc": around(120, 4, two), "ad_clicks": np.full(two, 900.0), "gmv": np.zeros(two)}),
            Table(_CAMPAIGNS, {"roas": around(4, 0.1, two), "ad_clicks": np.full(two, 3600.0), "gmv": np.zeros(two)}),
            *(
                Table(
                    names,
                    {
                        "dispatched_of_usual": around(1.0, 0.03, len(names)),
                        "usual_dispatches": np.full(len(names), 500.0),
                        "undispatched_gmv": np.zeros(len(names)),
                        "gmv": np.zeros(len(names)),
                    },
                )
                for names in (("",), (*shop.WAREHOUSES,))
            ),
        )


def _by_sku(journeys: Journeys, at: Seconds, steps: int, weights: Floats | None = None) -> Floats:
    """# [step, SKU on promotion]"""
    place_of = np.full(shop.SKUS_A_CATEGORY * len(shop.CATEGORIES), -1)
    place_of[shop.PROMOTED] = np.arange(len(shop.PROMOTED))
    sku = place_of[journeys.order_sku]
    inside = (sku >= 0) & (at >= shop.PRE_S) & (at < shop.PRE_S + steps * STEP_S)
    inside &= journeys.order_at >= shop.PRE_S
    places = (at[inside] - shop.PRE_S).astype(np.int64) // STEP_S * len(shop.PROMOTED) + sku[inside]
    sums = np.bincount(places, None if weights is None else weights[inside], steps * len(shop.PROMOTED))
    return sums.reshape(steps, -1).astype(np.float64)


def _of_last(counts: Floats, steps: int) -> Floats:
    sums = counts.cumsum(axis=0)
    sums[steps:] -= sums[:-steps].copy()
    return sums
