"""What becomes of orders on the topic `orders`: payment attempts, cancellations, refunds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streams.simulate.chance import Purpose, lognormal_ms
from streams.simulate.columns import Bools, Bytes, Ints, Kind, Objects, Rows, concat, draft, objects
from streams.simulate.effects import Site
from streams.simulate.orders import Orders, bodies_of_lines
from streams.simulate.scene import Scene
from streams.simulate.stock import Stock

ATTEMPTS = 3
PAY_MEDIAN_S, PAY_SIGMA = 15.0, 0.8
"""From the order to the first attempt: lognormal, nine in ten between 4 and 56 s, few of them minutes."""
RETRY_MEDIAN_S = 25.0
UNPAID_S = 1800.0
"""An order not paid is cancelled after half an hour (of the day's clock)."""
CALL_OFF_MEDIAN_S, CALL_OFF_SIGMA = 1500.0, 0.8
PARTIAL_MEDIAN_S = 4 * 3600.0
SURGE_MEDIAN_S = 60.0
"""From the payment to the refund in a refund surge."""
WHY_FAILED = (b"insufficient_funds", b"declined", b"risk_control", b"timeout")
FAILURES = objects([b',"reason":"%b"' % why for why in WHY_FAILED])
GATEWAY = b',"reason":"gateway_error"'
CALL_OFFS = objects([b',"reason":"%b"' % why for why in (b"changed_mind", b"found_cheaper", b"wrong_address")])


@dataclass(frozen=True, slots=True)
class Paid:
    """Which orders are paid, when, and whether they are called off (and so never shipped)."""

    at: Ints
    """# [order]: epoch ms, where `paid`"""
    paid: Bools
    called_off: Bools


@dataclass(slots=True)
class _Book:
    """Order rows in the making. In an order stop they wait until its end."""

    scene: Scene
    orders: Orders
    dims: dict[str, Bytes]

    def waits(self, at: Ints) -> Ints:
        return self.scene.effects.put_off("order_stop", at, self.dims, self.scene.place)

    def rows(self, kind: Kind, mask: Bools, at: Ints, value: Ints | None = None, tail: Objects | bytes = b"") -> Rows:
        orders, sessions = self.orders, self.scene.sessions
        producer = sessions.producer[orders.session[mask]]
        tails = tail if isinstance(tail, bytes) else tail[mask]
        values = None if value is None else value[mask]
        columns = {"key": orders.key[mask], "body": orders.body[mask]}
        return draft(kind, at[mask], producer=producer, value=values, tail=tails, **columns)


def settle(scene: Scene, orders: Orders, stock: Stock) -> tuple[Rows, Paid]:
    """All events of the orders but those that follow from shipping. Units of cancelled orders go back into stock."""
    rng, config = scene.rng(Purpose.PAYMENTS), scene.config
    book = _Book(scene, orders, scene.sessions.dims(orders.session))
    everyone = np.ones(len(orders), dtype=np.bool_)
    attempts, paid, at, gives_up_at = _attempts(book, rng)
    called_off, off_at = _called_off(book, paid, at, rng)
    timeout = orders.created + round(UNPAID_S * 1000 / config.day_speed)
    cancelled_at = np.where(called_off, off_at, book.waits(np.maximum(timeout, gives_up_at + 1000)))
    cancelled = called_off | ~paid
    why = np.where(called_off, CALL_OFFS[rng.integers(0, len(CALL_OFFS), len(orders))], b',"reason":"unpaid"')
    refunded_at = book.waits(off_at + rng.integers(200, 3000, len(orders)))
    partial = paid & ~called_off & (rng.random(len(orders)) < config.funnel.partial_refund)
    delay = lognormal_ms(rng, len(orders), PARTIAL_MEDIAN_S, CALL_OFF_SIGMA, config.day_speed)
    part = (orders.amount * rng.uniform(0.1, 0.5, len(orders))).astype(np.int64)
    line_cancelled = (cancelled & (orders.created >= config.start_ms))[orders.lines.order]  # others were never taken
    stock.release(orders.lines.sku[line_cancelled], orders.lines.qty[line_cancelled])
    rows = [
        book.rows(Kind.ORDER_CREATED, everyone, orders.created),
        *attempts,
        book.rows(Kind.ORDER_PAID, paid, at, orders.amount),
        book.rows(Kind.ORDER_CANCELLED, cancelled, cancelled_at, tail=why),
        book.rows(Kind.ORDER_REFUNDED, called_off, refunded_at, orders.amount, why),
        book.rows(Kind.ORDER_REFUNDED, partial, book.waits(at + delay), part, b',"reason":"compensation"'),
        *_lines_cancelled(book, paid & ~called_off & ~partial, at, stock),
    ]
    return concat(rows), Paid(at, paid, called_off)


def _attempts(book: _Book, rng: np.random.Generator) -> tuple[list[Rows], Bools, Ints, Ints]:
    """`payment_failed` rows; who has paid and when; when the others give up."""
    config, effects, size = book.scene.config, book.scene.effects, len(book.orders)
    at = book.waits(book.orders.created + lognormal_ms(rng, size, PAY_MEDIAN_S, PAY_SIGMA, config.shop_speed))
    trying = rng.random(size) < config.funnel.pay_attempt
    paid, paid_at = np.zeros(size, dtype=np.bool_), at
    rows = []
    for attempt in range(ATTEMPTS):
        works, again = rng.random(size) < config.funnel.payment, rng.random(size) < config.funnel.retry
        broken = effects.struck("payment_failures", at, book.dims, Site.PAYMENT, book.scene.place * ATTEMPTS + attempt)
        why = np.where(broken, GATEWAY, FAILURES[rng.integers(0, len(FAILURES), size)])
        pays = trying & works & ~broken
        paid_at = np.where(pays, at, paid_at)
        paid |= pays
        failed = trying & ~pays
        rows.append(book.rows(Kind.PAYMENT_FAILED, failed, at, tail=why))
        trying = failed & again
        wait = lognormal_ms(rng, size, RETRY_MEDIAN_S, PAY_SIGMA, config.shop_speed)
        at = np.where(trying, book.waits(at + wait), at)
    return rows, paid, paid_at, at


def _lines_cancelled(book: _Book, kept: Bools, at: Ints, stock: Stock) -> list[Rows]:
    """Some orders lose their last line, and get its share of the money back; the rest of them is shipped."""
    scene, orders, lines = book.scene, book.orders, book.orders.lines
    rng, size = scene.rng(Purpose.PARTS), len(orders)
    last = np.append(lines.first[1:], len(lines.sku))[:size] - 1
    loses = kept & (last > lines.first) & (rng.random(size) < scene.config.funnel.line_cancelled)
    cancelled_at = book.waits(at + lognormal_ms(rng, size, CALL_OFF_MEDIAN_S, CALL_OFF_SIGMA, scene.config.day_speed))
    refunded_at = book.waits(cancelled_at + rng.integers(200, 3000, size))
    order, line = np.flatnonzero(loses), last[loses]
    worth = lines.qty * lines.unit_price
    goods = np.bincount(lines.order, weights=worth, minlength=size).astype(np.int64)[order]
    part = np.where(goods, orders.amount[order] * worth[line] // np.maximum(goods, 1), 0)
    taken = orders.created[order] >= scene.config.start_ms
    stock.release(lines.sku[line][taken], lines.qty[line][taken])
    key, body = orders.key[order], objects(bodies_of_lines(scene, orders, order, line))
    producer, why = scene.sessions.producer[orders.session[order]], b',"reason":"out_of_stock"'
    return [
        draft(Kind.ORDER_CANCELLED, cancelled_at[order], key=key, body=body, producer=producer, tail=why),
        draft(Kind.ORDER_REFUNDED, refunded_at[order], key=key, body=body, producer=producer, value=part, tail=why),
    ]


def _called_off(book: _Book, paid: Bools, at: Ints, rng: np.random.Generator) -> tuple[Bools, Ints]:
    """Paid orders that are cancelled, and when."""
    config, size = book.scene.config, len(book.orders)
    called_off = paid & (rng.random(size) < config.funnel.call_off)
    off_at = at + lognormal_ms(rng, size, CALL_OFF_MEDIAN_S, CALL_OFF_SIGMA, config.day_speed)
    struck = paid & book.scene.effects.struck("refund_surge", at, book.dims, Site.CALL_OFF, book.scene.place)
    soon = at + lognormal_ms(rng, size, SURGE_MEDIAN_S, 0.5, config.shop_speed)
    return called_off | struck, book.waits(np.where(struck, soon, off_at))
