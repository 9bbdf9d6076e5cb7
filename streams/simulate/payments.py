"""Payment attempts, cancellations and refunds of orders."""

from __future__ import annotations

from dataclasses import dataclass

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
from streams.simulate.orders import Orders, bodies_of_lines
from streams.simulate.stock import SimulatedStock

ATTEMPTS = 3
PAY_MEDIAN_S, PAY_SIGMA = 15.0, 0.8
"""Order to first attempt: lognormal, nine in ten between 4 and 56 s."""
RETRY_MEDIAN_S = 25.0
UNPAID_S = 1800.0
"""Time-out of unpaid orders (divided by `day_speed`)."""
CALL_OFF_MEDIAN_S, CALL_OFF_SIGMA = 1500.0, 0.8
PARTIAL_MEDIAN_S = 4 * 3600.0
SURGE_MEDIAN_S = 60.0
"""Payment to refund in a `refund_surge`."""
WHY_FAILED = (b"insufficient_funds", b"declined", b"risk_control", b"timeout")
FAILURES = objects([b',"reason":"%b"' % why for why in WHY_FAILED])
GATEWAY = b',"reason":"gateway_error"'
CALL_OFFS = objects([b',"reason":"%b"' % why for why in (b"changed_mind", b"found_cheaper", b"wrong_address")])


@dataclass(frozen=True, slots=True)
class PaymentOutcome:
    """Paid orders, their payment times, and cancellations before shipping."""

    at: Ints
    """[order]: epoch ms, valid where `paid`"""
    paid: Bools
    called_off: Bools


@dataclass(slots=True)
class _OrderRows:
    """Builds rows of orders; an `order_stop` postpones them to its end."""

    scene: SliceContext
    orders: Orders
    dims: dict[str, Bytes]

    def waits(self, at: Ints) -> Ints:
        return self.scene.effects.postpone(at, self.dims, self.scene.slice_index)

    def rows(
        self, kind: SimulatedEventType, mask: Bools, at: Ints, value: Ints | None = None, tail: Objects | bytes = b""
    ) -> EventColumns:
        orders, sessions = self.orders, self.scene.sessions
        producer = sessions.producer[orders.session[mask]]
        tails = tail if isinstance(tail, bytes) else tail[mask]
        values = None if value is None else value[mask]
        columns = {"key": orders.key[mask], "body": orders.body[mask]}
        return draft(kind, at[mask], producer=producer, value=values, tail=tails, **columns)


def payment_events(scene: SliceContext, orders: Orders, stock: SimulatedStock) -> tuple[EventColumns, PaymentOutcome]:
    """All events of orders except those caused by shipping. Cancelled units return to `stock`."""
    rng, config = scene.rng(Purpose.PAYMENTS), scene.config
    order_rows = _OrderRows(scene, orders, scene.sessions.dims(orders.session))
    all_orders = np.ones(len(orders), dtype=np.bool_)
    attempts, paid, at, gives_up_at = _attempts(order_rows, rng)
    called_off, off_at = _called_off(order_rows, paid, at, rng)
    timeout = orders.created + round(UNPAID_S * 1000 / config.day_speed)
    cancelled_at = np.where(called_off, off_at, order_rows.waits(np.maximum(timeout, gives_up_at + 1000)))
    cancelled = called_off | ~paid
    reason = np.where(called_off, CALL_OFFS[rng.integers(0, len(CALL_OFFS), len(orders))], b',"reason":"unpaid"')
    refunded_at = order_rows.waits(off_at + rng.integers(200, 3000, len(orders)))
    partial = paid & ~called_off & (rng.random(len(orders)) < config.funnel.partial_refund)
    delay = lognormal_ms(rng, len(orders), PARTIAL_MEDIAN_S, CALL_OFF_SIGMA, config.day_speed)
    partial_amount = (orders.amount * rng.uniform(0.1, 0.5, len(orders))).astype(np.int64)
    line_cancelled = (cancelled & (orders.created >= config.start_ms))[
        orders.lines.order
    ]  # earlier orders were not deducted
    stock.release(orders.lines.sku[line_cancelled], orders.lines.qty[line_cancelled])
    rows = [
        order_rows.rows(SimulatedEventType.ORDER_CREATED, all_orders, orders.created),
        *attempts,
        order_rows.rows(SimulatedEventType.ORDER_PAID, paid, at, orders.amount),
        order_rows.rows(SimulatedEventType.ORDER_CANCELLED, cancelled, cancelled_at, tail=reason),
        order_rows.rows(SimulatedEventType.ORDER_REFUNDED, called_off, refunded_at, orders.amount, reason),
        order_rows.rows(
            SimulatedEventType.ORDER_REFUNDED,
            partial,
            order_rows.waits(at + delay),
            partial_amount,
            b',"reason":"compensation"',
        ),
        *_lines_cancelled(order_rows, paid & ~called_off & ~partial, at, stock),
    ]
    return concat(rows), PaymentOutcome(at, paid, called_off)


def _attempts(order_rows: _OrderRows, rng: np.random.Generator) -> tuple[list[EventColumns], Bools, Ints, Ints]:
    """`payment_failed` rows, paid orders, their payment times, and times of the last attempt."""
    config, effects, size = order_rows.scene.config, order_rows.scene.effects, len(order_rows.orders)
    at = order_rows.waits(
        order_rows.orders.created + lognormal_ms(rng, size, PAY_MEDIAN_S, PAY_SIGMA, config.shop_speed)
    )
    trying = rng.random(size) < config.funnel.pay_attempt
    paid, paid_at = np.zeros(size, dtype=np.bool_), at
    rows = []
    for attempt in range(ATTEMPTS):
        succeeds, retries = rng.random(size) < config.funnel.payment, rng.random(size) < config.funnel.retry
        gateway_failed = effects.sampled_hits(
            "payment_failures",
            at,
            order_rows.dims,
            ChanceSite.PAYMENT,
            order_rows.scene.slice_index * ATTEMPTS + attempt,
        )
        reason = np.where(gateway_failed, GATEWAY, FAILURES[rng.integers(0, len(FAILURES), size)])
        paid_now = trying & succeeds & ~gateway_failed
        paid_at = np.where(paid_now, at, paid_at)
        paid |= paid_now
        failed = trying & ~paid_now
        rows.append(order_rows.rows(SimulatedEventType.PAYMENT_FAILED, failed, at, tail=reason))
        trying = failed & retries
        wait = lognormal_ms(rng, size, RETRY_MEDIAN_S, PAY_SIGMA, config.shop_speed)
        at = np.where(trying, order_rows.waits(at + wait), at)
    return rows, paid, paid_at, at


def _lines_cancelled(order_rows: _OrderRows, kept: Bools, at: Ints, stock: SimulatedStock) -> list[EventColumns]:
    """Cancel and refund the last line of some orders; their other lines are shipped."""
    scene, orders, lines = order_rows.scene, order_rows.orders, order_rows.orders.lines
    rng, size = scene.rng(Purpose.PARTS), len(orders)
    last = np.append(lines.first[1:], len(lines.sku))[:size] - 1
    cancels_line = kept & (last > lines.first) & (rng.random(size) < scene.config.funnel.line_cancelled)
    cancelled_at = order_rows.waits(
        at + lognormal_ms(rng, size, CALL_OFF_MEDIAN_S, CALL_OFF_SIGMA, scene.config.day_speed)
    )
    refunded_at = order_rows.waits(cancelled_at + rng.integers(200, 3000, size))
    order, line = np.flatnonzero(cancels_line), last[cancels_line]
    worth = lines.qty * lines.unit_price
    goods = np.bincount(lines.order, weights=worth, minlength=size).astype(np.int64)[order]
    refund = np.where(goods, orders.amount[order] * worth[line] // np.maximum(goods, 1), 0)
    was_deducted = orders.created[order] >= scene.config.start_ms
    stock.release(lines.sku[line][was_deducted], lines.qty[line][was_deducted])
    key, body = orders.key[order], objects(bodies_of_lines(scene, orders, order, line))
    producer, reason = scene.sessions.producer[orders.session[order]], b',"reason":"out_of_stock"'
    return [
        draft(
            SimulatedEventType.ORDER_CANCELLED, cancelled_at[order], key=key, body=body, producer=producer, tail=reason
        ),
        draft(
            SimulatedEventType.ORDER_REFUNDED,
            refunded_at[order],
            key=key,
            body=body,
            producer=producer,
            value=refund,
            tail=reason,
        ),
    ]


def _called_off(order_rows: _OrderRows, paid: Bools, at: Ints, rng: np.random.Generator) -> tuple[Bools, Ints]:
    """Paid orders that are cancelled, and the times."""
    config, size = order_rows.scene.config, len(order_rows.orders)
    called_off = paid & (rng.random(size) < config.funnel.call_off)
    off_at = at + lognormal_ms(rng, size, CALL_OFF_MEDIAN_S, CALL_OFF_SIGMA, config.day_speed)
    sampled_hits = paid & order_rows.scene.effects.sampled_hits(
        "refund_surge", at, order_rows.dims, ChanceSite.CALL_OFF, order_rows.scene.slice_index
    )
    soon = at + lognormal_ms(rng, size, SURGE_MEDIAN_S, 0.5, config.shop_speed)
    return called_off | sampled_hits, order_rows.waits(np.where(sampled_hits, soon, off_at))
