"""The simulated shop: all events of sessions, and expected events per session."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from streams.simulate.browsing import browse
from streams.simulate.chance import Purpose
from streams.simulate.columns import NO_ROWS, EventColumns, Ints, SimulatedEventType, concat
from streams.simulate.context import RunContext, SliceContext
from streams.simulate.effects import IncidentEffects
from streams.simulate.fulfilment import ship
from streams.simulate.orders import check_out, place_orders
from streams.simulate.payments import payment_events
from streams.simulate.shoppers import Customers
from streams.simulate.stock import SimulatedStock
from streams.simulate.traffic import Traffic

PILOT_SESSIONS = 8000
PILOT_PLACE = 1 << 31
"""Slice index of the pilot's random streams, beyond those of a run."""


class Shop:
    """Runs sessions. Keeps state across slices: stock, past customers and sequence numbers."""

    def __init__(self, world: RunContext, stock: SimulatedStock) -> None:
        self._world = world
        self._stock = stock
        self._customers = Customers(world.config.users, world.config.funnel.known_buyers)
        self._sessions = 0
        self._orders = 0

    def open(self, starts: Ints, slice_index: int) -> tuple[EventColumns, EventColumns]:
        """Clicks and other events of the sessions that start at `starts` (epoch ms), unordered."""
        world = self._world
        sessions = world.audience.arrive(starts, self._sessions, world.rng(Purpose.SESSIONS, slice_index))
        self._sessions += len(sessions)
        if not len(sessions):
            return NO_ROWS, NO_ROWS
        scene = SliceContext(world, sessions, slice_index)
        clicks, carts = browse(scene)
        checkout_rows, checkouts = check_out(scene, carts)
        orders = place_orders(scene, carts, checkouts, self._stock, self._customers, self._orders)
        self._orders += len(orders)
        order_rows, paid = payment_events(scene, orders, self._stock)
        return concat([clicks, checkout_rows]), concat([order_rows, ship(scene, orders, paid)])


class SessionAverages(NamedTuple):
    """Averages per session without incidents and stock-outs."""

    events: float
    """Messages within the run."""
    units: float
    """Units ordered, at 1.5 units per order."""
    promotion_gmv: float
    """Net GMV with the promotion's id, minor units, in mid-promotion."""


def session_averages(world: RunContext, traffic: Traffic) -> SessionAverages:
    """Measure a pilot of 8,000 sessions in mid-run; events are weighted by their probability to be within the run."""
    config = world.config
    calm = replace(world, effects=IncidentEffects(replace(config, incidents=())))
    start = config.at(0.5)
    starts = np.full(PILOT_SESSIONS, start, dtype=np.int64)
    rows = concat(Shop(calm, SimulatedStock(calm, float("inf"))).open(starts, PILOT_PLACE))
    weight = traffic.within(rows.ts - start) * (1 + config.disorder.repeat_share)
    promoted = np.fromiter((b'"promotion_id":' in body for body in rows.body), dtype=np.bool_, count=len(rows))
    paid, refunded = (
        promoted & (rows.kind == SimulatedEventType.ORDER_PAID),
        promoted & (rows.kind == SimulatedEventType.ORDER_REFUNDED),
    )
    net = (rows.value * weight)[paid].sum() - (rows.value * weight)[refunded].sum()
    orders = int((rows.kind == SimulatedEventType.ORDER_CREATED).sum())
    sessions = float(PILOT_SESSIONS)
    return SessionAverages(float(weight.sum()) / sessions, 1.5 * orders / sessions, float(net) / sessions)
