"""Fulfilment of paid orders: dispatch, delivery, delay, return and refund."""

from __future__ import annotations

import numpy as np

from streams.simulate.chance import Purpose, lognormal_ms
from streams.simulate.columns import (
    Bools,
    Bytes,
    EventColumns,
    Ints,
    Objects,
    SimulatedEventType,
    concat,
    draft,
    objects,
)
from streams.simulate.context import SliceContext
from streams.simulate.effects import ChanceSite
from streams.simulate.orders import Orders
from streams.simulate.payments import PaymentOutcome

HOUR_S = 3600.0
DISPATCH_MEDIAN_H, DISPATCH_SIGMA = 14.0, 0.6
"""Payment to dispatch: lognormal, assumed; one in fifty takes more than 48 h."""
DELIVERY_MEDIAN_H, DELIVERY_SIGMA = 36.0, 0.35
PROMISE_H = 96.0
"""Promised time from payment to delivery."""
DELAY_FACTOR = 2.5
"""Factor on the transit time of a delayed parcel."""
RETURN_MEDIAN_H, REFUND_MEDIAN_H = 60.0, 12.0


def ship(scene: SliceContext, orders: Orders, paid: PaymentOutcome) -> EventColumns:
    """Shipments of paid orders that are not cancelled. Rows after the run's end are dropped later."""
    shipped = np.flatnonzero(paid.paid & ~paid.called_off)
    return concat(_Parcels(scene, orders, paid, shipped).rows())


class _Parcels:
    """Parcels of a slice in columns, one per order."""

    def __init__(self, scene: SliceContext, orders: Orders, paid: PaymentOutcome, shipped: Ints) -> None:
        rng = scene.rng(Purpose.FULFILMENT)
        size, speed, sessions = len(shipped), scene.config.ship_speed, scene.sessions
        self._scene, self._rng, self._orders = scene, rng, orders
        self._order = shipped
        self._line = orders.lines.first[shipped]
        self._region: Bytes = sessions.region[orders.session[shipped]]
        self._producer_of_order = sessions.producer[orders.session[shipped]]
        self._warehouse: Bytes = scene.world.catalog.home[orders.lines.sku[self._line]]
        planned = paid.at[shipped] + lognormal_ms(rng, size, DISPATCH_MEDIAN_H * HOUR_S, DISPATCH_SIGMA, speed)
        self._held_at, self._held, self._dispatched = self._hold(planned)
        self._promised = paid.at[shipped] + round(PROMISE_H * HOUR_S * 1000 / speed)
        under_way = lognormal_ms(rng, size, DELIVERY_MEDIAN_H * HOUR_S, DELIVERY_SIGMA, speed)
        self._late = rng.random(size) < scene.config.funnel.delayed
        self._delayed_at = self._dispatched + under_way // 2
        slow = (under_way * DELAY_FACTOR).astype(np.int64)
        self._delivered = self._dispatched + np.where(self._late, slow, under_way)
        self._body = self._bodies()

    def _hold(self, planned: Ints) -> tuple[Ints, Bools, Ints]:
        """Postpone dispatches due in a `ship_delay` to shortly after its end."""
        dims = {"region": self._region, "warehouse": self._warehouse}
        at, postponed, effects = planned, np.zeros(len(planned), dtype=np.bool_), self._scene.effects
        for incident, hit in effects.hits("ship_delay", planned, dims):
            hit &= effects.sampled(incident, len(hit), ChanceSite.DISPATCH, self._scene.slice_index)
            spread = (incident.end_ms - incident.start_ms) / 10
            wait = (self._rng.random(len(hit)) * spread).astype(np.int64)
            at = np.where(hit, incident.end_ms + wait, at)
            postponed |= hit
        return planned, postponed, at

    def rows(self) -> list[EventColumns]:
        everything = np.ones(len(self._order), dtype=np.bool_)
        promised = objects([b',"promised_ts":%d' % ts for ts in self._promised.tolist()])
        return [
            self._shipments(SimulatedEventType.SHIPMENT_DELAYED, self._held, self._held_at),
            self._shipments(SimulatedEventType.SHIPMENT_DISPATCHED, everything, self._dispatched, promised),
            self._shipments(SimulatedEventType.SHIPMENT_DELAYED, self._late, self._delayed_at),
            self._shipments(SimulatedEventType.SHIPMENT_DELIVERED, everything, self._delivered),
            *self._returns(),
        ]

    def _shipments(self, kind: SimulatedEventType, mask: Bools, at: Ints, tail: Objects | None = None) -> EventColumns:
        return draft(
            kind,
            at[mask],
            key=self._orders.key[self._order][mask],
            body=self._body[mask],
            producer=self._warehouse[mask],
            tail=b"" if tail is None else tail[mask],
        )

    def _bodies(self) -> Objects:
        config, key = self._scene.config, self._orders.key[self._order].tolist()
        carrier = self._rng.integers(0, len(config.carriers), len(key)).tolist()
        carriers = [label.encode() for label in config.carriers]
        regions = [label.encode() for label, _ in config.regions]
        warehouses = [b'"warehouse":"%b","source":"wms-%d"' % (w.encode(), i) for i, w in enumerate(config.warehouses)]
        parcels = zip(key, carrier, self._region.tolist(), self._warehouse.tolist(), strict=True)
        form = b'"order_id":"%b","carrier":"%b","region":"%b",%b'
        return objects([form % (order, carriers[c], regions[r], warehouses[w]) for order, c, r, w in parcels])

    def _returns(self) -> list[EventColumns]:
        """Return the first line some days after delivery, then refund it (at most the order's amount)."""
        rng, speed, size = self._rng, self._scene.config.ship_speed, len(self._order)
        is_returned = rng.random(size) < self._scene.config.funnel.returned
        at = self._delivered + lognormal_ms(rng, size, RETURN_MEDIAN_H * HOUR_S, 0.5, speed)
        refunded_at = at + lognormal_ms(rng, size, REFUND_MEDIAN_H * HOUR_S, 0.5, speed)
        at, refunded_at, order, line = (
            at[is_returned],
            refunded_at[is_returned],
            self._order[is_returned],
            self._line[is_returned],
        )
        dims = self._scene.sessions.dims(self._orders.session[order])
        refunded_at = self._scene.effects.postpone(refunded_at, dims, self._scene.slice_index)
        lines, key = self._orders.lines, self._orders.key[order]
        money = np.minimum(lines.qty[line] * lines.unit_price[line], self._orders.amount[order])
        sku, catalog = lines.sku[line], self._scene.world.catalog
        categories = [self._scene.config.categories[code].encode() for code in catalog.category[sku].tolist()]
        fields = (catalog.names[sku].tolist(), categories, lines.qty[line].tolist())
        form = b'"order_id":"%b","sku":"%b","category":"%b","qty":%d,"source":"wms-%d"'
        parts = zip(key.tolist(), *fields, self._warehouse[is_returned].tolist(), strict=True)
        bodies = objects([form % part for part in parts])
        money_rows = draft(
            SimulatedEventType.ORDER_REFUNDED,
            refunded_at,
            key=key,
            body=self._orders.body[order],
            producer=self._producer_of_order[is_returned],
            value=money,
            tail=b',"reason":"returned"',
        )
        return [
            draft(SimulatedEventType.RETURN_RECEIVED, at, key=key, body=bodies, producer=self._warehouse[is_returned]),
            money_rows,
        ]
