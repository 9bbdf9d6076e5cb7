"""The simulator of counters: its rates are those of the funnel, and a seed repeats them."""

from __future__ import annotations

import numpy as np

from streams.simulate import SimulationConfig
from tests.alerts.dense_panes import DensePanes
from tests.bench.counts_simulator import CountsSimulator, simulated_promotions


def test_counts_follow_the_funnel_of_the_configuration() -> None:
    config = SimulationConfig(seed=3, duration_s=900, compress=False, promotion=None)
    panes = CountsSimulator(config, 300.0).panes()
    everyone = np.array([0])

    def total(name: str, rows: np.ndarray[tuple[int], np.dtype[np.int64]] = everyone) -> float:
        return float(panes.counts((name,), rows, panes.start_s, panes.end_s).sum())

    funnel = config.funnel
    assert abs(total("orders_created") / 15 / 300 - 1) < 0.15
    assert abs(total("cart_adds") / total("product_views") / funnel.cart - 1) < 0.05
    assert abs(total("orders_created") / total("checkouts") / funnel.order - 1) < 0.05
    assert total("product_views", np.arange(1, 5)) == total("product_views"), "each view has one channel"


def test_an_incident_of_orders_leaves_the_clicks_of_the_same_seed_unchanged() -> None:
    def sale(*incidents: str) -> DensePanes:
        config = SimulationConfig(seed=3, duration_s=600, compress=False, promotion=None, incidents=incidents)
        assert simulated_promotions(config) == {}
        return CountsSimulator(config, 300.0).panes()

    calm, struck = sale(), sale("conversion_drop@+300s/300s:size=0.5")
    assert (calm.table[:, :, :4] == struck.table[:, :, :4]).all(), "no click changes"
    kept = struck.table[300:, 0, 4].sum() / calm.table[300:, 0, 4].sum()
    assert 0.4 < kept < 0.6
