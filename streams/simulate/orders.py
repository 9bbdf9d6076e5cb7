"""Checkouts and orders with lines, prices and discounts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streams.simulate.browsing import Carts
from streams.simulate.chance import Purpose, lognormal_ms
from streams.simulate.columns import Bools, Bytes, EventColumns, Ints, Objects, SimulatedEventType, objects
from streams.simulate.context import RunContext, SliceContext
from streams.simulate.effects import ChanceSite
from streams.simulate.shoppers import Customers
from streams.simulate.stock import SimulatedStock

MAX_LINES = 5
CHECKOUT_MEDIAN_S, ORDER_MEDIAN_S, SIGMA = 10.0, 15.0, 0.7
"""Last page to checkout, and checkout to order: lognormal, assumed."""
FREE_SHIPPING_FROM, SHIPPING_FEE = 9_900, 800


@dataclass(frozen=True, slots=True)
class SimulatedOrderLines:
    """Order lines, ordered by order."""

    order: Ints
    sku: Ints
    qty: Ints
    unit_price: Ints
    first: Ints
    """[order]: index of its first line"""


@dataclass(frozen=True, slots=True)
class Orders:
    """Orders of a slice in columns."""

    session: Ints
    created: Ints
    """Epoch ms."""
    amount: Ints
    key: Objects
    """Kafka key: the order id."""
    body: Objects
    """JSON common to all its events."""
    lines: SimulatedOrderLines

    def __len__(self) -> int:
        return len(self.session)


@dataclass(frozen=True, slots=True)
class Checkouts:
    """Checkout and order of sessions with a cart."""

    session: Ints
    orders: Bools
    created: Ints


def check_out(scene: SliceContext, carts: Carts) -> tuple[EventColumns, Checkouts]:
    """`checkout_start` rows, and the sessions that order."""
    rng = scene.rng(Purpose.ORDERS)
    config, effects = scene.config, scene.effects
    session = np.unique(carts.session)
    size = len(session)
    at = carts.session_end[session] + lognormal_ms(rng, size, CHECKOUT_MEDIAN_S, SIGMA, config.shop_speed)
    created = at + lognormal_ms(rng, size, ORDER_MEDIAN_S, SIGMA, config.shop_speed)
    checks_out, orders = rng.random(size) < config.funnel.checkout, rng.random(size) < config.funnel.order
    dims = scene.sessions.dims(session)
    checks_out &= ~effects.sampled_hits(
        "conversion_drop", at, dims, ChanceSite.CHECKOUT, scene.slice_index, stage="checkout"
    )
    orders &= checks_out
    for _, hit in effects.hits("order_stop", created, dims):
        orders &= ~hit
    rows = scene.clicks(SimulatedEventType.CHECKOUT_START, session[checks_out], at[checks_out])
    return rows, Checkouts(session, orders, created)


def place_orders(
    scene: SliceContext,
    carts: Carts,
    checkouts: Checkouts,
    stock: SimulatedStock,
    customers: Customers,
    first_number: int,
) -> Orders:
    """Order the cart lines in stock; updates `stock` and `customers`."""
    rng = scene.rng(Purpose.LINES)
    sessions = scene.sessions
    line_checkout = np.searchsorted(checkouts.session, carts.session)
    qty = np.minimum(rng.geometric(0.85, len(carts.sku)), 9).astype(np.int64)
    coupon, coupon_rate = rng.random(len(checkouts.session)), rng.uniform(0.05, 0.15, len(checkouts.session))
    cart_sku, available = _available(scene, carts, checkouts.created[line_checkout], stock, rng)
    keep = available & _kept_lines(scene, carts, cart_sku, checkouts, line_checkout)
    chosen = np.unique(line_checkout[keep])
    order = np.searchsorted(chosen, line_checkout[keep])
    session, created = checkouts.session[chosen], checkouts.created[chosen]
    sku, qty = cart_sku[keep], qty[keep]
    price = _prices(scene.world, sessions.promotion[session][order], sku, created[order])
    first = np.searchsorted(order, np.arange(len(chosen)))
    lines = SimulatedOrderLines(order, sku, qty, price, first)
    stock.take(sku, qty, created[order])
    goods = np.add.reduceat(qty * price, first) if len(chosen) else np.zeros(0, dtype=np.int64)
    has_coupon = sessions.promotion[session] & (coupon[chosen] < scene.config.funnel.coupon)
    discount = np.where(has_coupon, (goods * coupon_rate[chosen]).astype(np.int64) // 100 * 100, 0)
    free = (goods >= FREE_SHIPPING_FROM) | (sessions.member[session] == 1)
    fee = np.where(free, 0, SHIPPING_FEE)
    key = [b"o-%b-%x" % (scene.world.run, n) for n in range(first_number, first_number + len(chosen))]
    is_first = customers.first_orders(sessions.user[session])
    body = _bodies(scene, session, key, lines, discount, fee, is_first)
    return Orders(session, created, goods - discount + fee, objects(key), objects(body), lines)


def _available(
    scene: SliceContext, carts: Carts, at: Ints, stock: SimulatedStock, rng: np.random.Generator
) -> tuple[Ints, Bools]:
    """The product of each cart line after replacement of sold-out ones, and whether it is in stock."""
    other = scene.world.catalog.draw(rng.random(len(carts.sku)), scene.sessions.promotion[carts.session])
    replaced = stock.closed(carts.sku, at) & (rng.random(len(carts.sku)) < scene.config.funnel.substitute)
    sku = np.where(replaced, other, carts.sku)
    return sku, ~stock.closed(sku, at)


def _kept_lines(scene: SliceContext, carts: Carts, sku: Ints, checkouts: Checkouts, line_checkout: Ints) -> Bools:
    """Lines of ordering sessions, at most five each, without those lost to a `conversion_drop`."""
    begin = np.searchsorted(carts.session, checkouts.session)
    rank = np.arange(len(carts.sku)) - begin[line_checkout]
    keep: Bools = checkouts.orders[line_checkout] & (rank < MAX_LINES)
    effects, slice_index = scene.effects, scene.slice_index
    created = checkouts.created[line_checkout]
    dims: dict[str, Bytes | Ints] = {**scene.sessions.dims(checkouts.session)}
    for incident, hit in effects.hits("conversion_drop", checkouts.created, dims):
        if incident.option("stage") != "order":
            continue
        by_line = {name for name, _ in incident.where} & {"sku", "category"}
        if not by_line:
            lost = hit & effects.sampled(incident, len(hit), ChanceSite.ORDER, slice_index)
            keep &= ~lost[line_checkout]
            continue
        line_dims: dict[str, Bytes | Ints] = {"sku": sku, "category": scene.world.catalog.category[sku]}
        matching = hit[line_checkout] & effects.matches(incident, created, line_dims)
        keep &= ~(matching & effects.sampled(incident, len(matching), ChanceSite.LINE, slice_index))
    return keep


def _prices(world: RunContext, in_promotion: Bools, sku: Ints, at: Ints) -> Ints:
    """Sale price in the promotion, else list price, times the factor of a `price_error`."""
    catalog = world.catalog
    price = np.where(in_promotion, catalog.sale_price[sku], catalog.price[sku])
    for incident, hit in world.effects.hits("price_error", at, {"sku": sku, "category": catalog.category[sku]}):
        price = np.where(hit, np.maximum(1, np.rint(price * incident.size)).astype(np.int64), price)
    return price


def _bodies(
    scene: SliceContext,
    session: Ints,
    key: list[bytes],
    lines: SimulatedOrderLines,
    discount: Ints,
    fee: Ints,
    is_first: Bools,
) -> list[bytes]:
    sessions, items = scene.sessions, _items(scene, lines.sku, lines.qty, lines.unit_price)
    ends = [*lines.first.tolist()[1:], len(items)]
    joined = [b",".join(items[begin:end]) for begin, end in zip(lines.first.tolist(), ends, strict=False)]
    discounts = [b',"discount":%d' % amount if amount else b"" for amount in discount.tolist()]
    firsts = [b',"first_order":true' if first else b"" for first in is_first.tolist()]
    users, shared = sessions.key[session].tolist(), sessions.order_body[session].tolist()
    return [
        b'"order_id":"%b","user_id":"%b","items":[%b]%b,"shipping_fee":%d%b%b' % fields
        for fields in zip(key, users, joined, discounts, fee.tolist(), shared, firsts, strict=True)
    ]


def bodies_of_lines(scene: SliceContext, orders: Orders, order: Ints, line: Ints) -> list[bytes]:
    """JSON of events of orders about one of their lines."""
    sessions, lines, session = scene.sessions, orders.lines, orders.session[order]
    items = _items(scene, lines.sku[line], lines.qty[line], lines.unit_price[line])
    columns = (orders.key[order].tolist(), sessions.key[session].tolist(), items, sessions.order_body[session].tolist())
    return [b'"order_id":"%b","user_id":"%b","items":[%b]%b' % fields for fields in zip(*columns, strict=True)]


def _items(scene: SliceContext, sku: Ints, qty: Ints, unit_price: Ints) -> list[bytes]:
    catalog = scene.world.catalog
    columns = (catalog.line[sku].tolist(), qty.tolist(), unit_price.tolist(), catalog.cost[sku].tolist())
    return [b'%b%d,"unit_price":%d,"cost":%d}' % line for line in zip(*columns, strict=True)]
