"""Days of the study's shop: visits cluster (Hawkes, gamma), and journeys have heavy-tailed delays.

Visits come by the second: a Hawkes process (Biometrika 58, 1971) of an exponential kernel around an intensity with
gamma noise. Views follow them by a Lomax kernel. Views that go into no cart stay counts by second and cell; from the
cart on every event is its own, with a pointer to the event that it follows, so that an incident can remove events and
what follows from them. All numbers come from the seed, and incidents draw from generators of their own.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tests.bench.study import shop
from tests.bench.study.shapes import shaped
from tests.bench.study.shop import CELLS, Course, Floats

Ints = npt.NDArray[np.int64]
Seconds = npt.NDArray[np.int32]
NEVER = np.int32(2**31 - 1)
_CHUNK_S = 1800
_HAWKES_S = 30.0
_OVERSOLD_S = 3
"""Orders are still taken so long after the last unit."""


@dataclass(slots=True)
class Journeys:
    """Events of one day; times are seconds since `PRE_S` before the panes, `NEVER` if they do not happen."""

    views: npt.NDArray[np.uint16]
    """# [second, cell]: product views"""
    pages: npt.NDArray[np.uint16]
    """# [second, channel, region]: page views"""
    cart_at: Seconds
    cart_cell: Seconds
    checkout_at: Seconds
    checkout_cart: Seconds
    """# [checkout]: its cart"""
    order_at: Seconds
    order_checkout: Seconds
    order_sku: Seconds
    order_source: Seconds
    amount: Floats
    """# [order]: minor units"""
    paid_at: Seconds
    failed_at: Seconds
    failed_order: Seconds
    """# [failed attempt]: its order"""
    cancel_at: Seconds
    refund_at: Seconds
    dispatched: npt.NDArray[np.uint16]
    """# [second, region, warehouse]: parcels of earlier days too"""

    @property
    def order_cell(self) -> Seconds:
        """# [order]"""
        return self.cart_cell[self.checkout_cart[self.order_checkout]]

    @property
    def checkout_cell(self) -> Seconds:
        """# [checkout]"""
        return self.cart_cell[self.checkout_cart]

    def drop_carts(self, which: npt.NDArray[np.bool_]) -> Journeys:
        """Without these carts and what follows from them."""
        left = replace(self, cart_at=np.where(which, NEVER, self.cart_at))
        return left.drop_checkouts(which[self.checkout_cart])

    def drop_checkouts(self, which: npt.NDArray[np.bool_]) -> Journeys:
        """Without these checkouts and what follows from them."""
        left = replace(self, checkout_at=np.where(which, NEVER, self.checkout_at))
        return left.drop_orders(which[self.order_checkout])

    def drop_orders(self, which: npt.NDArray[np.bool_]) -> Journeys:
        """Without these orders and what follows from them."""
        times = {
            name: np.where(which, NEVER, getattr(self, name))
            for name in ("order_at", "paid_at", "cancel_at", "refund_at")
        }
        return replace(self, failed_at=np.where(which[self.failed_order], NEVER, self.failed_at), **times)


@dataclass(frozen=True, slots=True)
class StudyDay:
    """One generated day."""

    shape: str
    rate: float
    """Orders a minute at the usual intensity."""
    seed: int
    hours: float
    course: Course
    journeys: Journeys
    stock: dict[int, int]
    """# SKU on promotion: units as the panes begin"""

    @property
    def seconds(self) -> int:
        """Length with what comes before the sale."""
        return shop.PRE_S + shop.WARM_S + round(self.hours * 3600)

    @property
    def sale_s(self) -> int:
        """Second in which the sale, and with it the score, begins."""
        return shop.PRE_S + shop.WARM_S


def day(shape: str, rate: float, seed: int, hours: float = 6.0) -> StudyDay:
    """Generate a day of this shape; the same arguments give the same day."""
    rng = np.random.default_rng([seed, round(rate), len(shape), *shape.encode()])
    course = shaped(shape, hours, rng)
    seconds = shop.PRE_S + shop.WARM_S + round(hours * 3600)
    parts = _browse(course, rate, seconds, rng)
    journeys = _buy(course, *parts, rng)
    rng = np.random.default_rng([seed, 1])
    journeys, stock = _stock(course, journeys, rng)
    return StudyDay(shape, rate, seed, hours, course, journeys, stock)


# Browsing -------------------------------------------------------------------------------------------------------------


def _browse(
    course: Course, rate: float, seconds: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16], Ints, Ints, npt.NDArray[np.uint16]]:
    """(views, page views, seconds and cells of the views that go into a cart, dispatches)."""
    minute = np.arange(seconds) // 60
    visits = _hawkes(course, rate / 60 / shop.ORDERS_A_VIEW / shop.VIEWS_A_VISIT, seconds, rng)
    buying = _spread(visits, _lomax_kernel(1800, 2.0, 60.0)) * shop.VIEWS_A_VISIT
    grouped = _gamma_noise(course.group_cv, 20, seconds, rng)
    views = np.empty((seconds, CELLS), np.uint16)
    pages = np.empty((seconds, len(shop.CHANNELS), len(shop.REGIONS)), np.uint16)
    carts: list[Ints] = []
    cart_share = (
        shop.CART_A_VIEW
        * shop.CATEGORY_CART[shop.CATEGORY_OF]
        / float(shop.CATEGORY_CART @ [*shop.CATEGORIES.values()])
    )
    usual = rate / 60 / shop.ORDERS_A_VIEW
    cells = course.channel[:, shop.CHANNEL_OF] * course.region[:, shop.REGION_OF] * course.category[:, shop.CATEGORY_OF]
    idle = course.idle[:, shop.CHANNEL_OF, shop.CATEGORY_OF]
    for first in range(0, seconds, _CHUNK_S):
        at = slice(first, min(first + _CHUNK_S, seconds))
        m = minute[at]
        mean = buying[at, None] * cells[m]
        in_cart = mean * np.minimum(cart_share * (course.cart[m] * grouped[at])[:, None], 0.9)
        into = rng.poisson(in_cart)
        idly = usual * course.visits[m][:, None] * cells[m] * idle[m]
        views[at] = into + rng.poisson(mean - in_cart + idly)
        of_visits = (
            (buying[at, None, None] / shop.VIEWS_A_VISIT * 1.5)
            * course.channel[m][:, :, None]
            * course.region[m][:, None, :]
        )
        of_idle = idly.reshape(-1, *shop.SHAPE_OF_CELLS).sum(axis=3) / shop.VIEWS_A_VISIT * 1.5
        pages[at] = rng.poisson(of_visits + of_idle)
        second, cell = np.nonzero(into)
        many = into[second, cell]
        carts.append(np.stack((np.repeat(second + first, many), np.repeat(cell, many))))
    at, cell = np.concatenate(carts, axis=1)
    parcels = rate / 60 * 0.9 * np.outer([*shop.REGIONS.values()], [*shop.WAREHOUSES.values()])
    dispatched = rng.poisson(parcels, (seconds, *parcels.shape)).astype(np.uint16)
    return views, pages, at, cell, dispatched


def _hawkes(course: Course, mean: float, seconds: int, rng: np.random.Generator) -> Floats:
    """Visits by second."""
    noise = _gamma_noise(course.gamma_cv, 30, seconds, rng)
    base = mean * course.visits[np.arange(seconds) // 60] * noise * (1 - course.branching)
    keep = float(np.exp(-1 / _HAWKES_S))
    excited, found = mean * course.branching, np.empty(seconds)
    for second, calm in enumerate(base.tolist()):
        came = rng.poisson(calm + excited)
        excited = excited * keep + came * course.branching * (1 - keep)
        found[second] = came
    return found


def _gamma_noise(cv: float, block_s: int, seconds: int, rng: np.random.Generator) -> Floats:
    if cv <= 0:
        return np.ones(seconds)
    blocks = rng.gamma(1 / cv**2, cv**2, -(-seconds // block_s))
    return np.repeat(blocks, block_s)[:seconds]


def _lomax_kernel(length_s: int, alpha: float, scale_s: float) -> Floats:
    age = np.arange(length_s) + 0.5
    density: Floats = (1 + age / scale_s) ** -(alpha + 1)
    return density / density.sum()


def _spread(counts: Floats, kernel: Floats) -> Floats:
    """Convolve; the time before the first second had the mean of the first ten minutes."""
    before = np.full(len(kernel), counts[:600].mean())
    size = 1 << int(np.ceil(np.log2(len(counts) + 2 * len(kernel))))
    padded = np.concatenate((before, counts))
    both = np.fft.irfft(np.fft.rfft(padded, size) * np.fft.rfft(kernel, size), size)
    found: Floats = np.maximum(both[len(kernel) : len(kernel) + len(counts)], 0.0)
    return found


# Buying ---------------------------------------------------------------------------------------------------------------


def _buy(
    course: Course,
    views: npt.NDArray[np.uint16],
    pages: npt.NDArray[np.uint16],
    viewed: Ints,
    cell: Ints,
    dispatched: npt.NDArray[np.uint16],
    rng: np.random.Generator,
) -> Journeys:
    def minute(at: npt.NDArray[np.number]) -> Ints:
        return np.clip(at // 60, 0, course.minutes - 1).astype(np.int64)

    cart_at = (viewed + rng.exponential(12.0, len(viewed))).astype(np.int32)
    m = minute(cart_at)
    chance = shop.CHECKOUT_A_CART * course.checkout[m] * shop.CHANNEL_CHECKOUT[shop.CHANNEL_OF[cell]]
    checkout_cart = np.flatnonzero(rng.random(len(cart_at)) < chance).astype(np.int32)
    begun = cart_at[checkout_cart]
    wait = _heavy_tail(len(begun), 45.0, 0.9, 0.2, 120.0, rng) * course.haste[minute(begun)]
    if course.deferred is not None:
        from_s, to_s, share = course.deferred
        defers = (begun >= from_s) & (begun < to_s) & (rng.random(len(begun)) < share)
        wait = np.where(defers, to_s - begun + rng.exponential(180.0, len(begun)), wait)
    checkout_at = (begun + wait).astype(np.int32)
    m = minute(checkout_at)
    ordering = rng.random(len(checkout_at)) < np.minimum(shop.ORDER_A_CHECKOUT * course.order[m], 1.0)
    bots = np.flatnonzero(rng.random(len(checkout_at)) < course.bots[m])
    order_checkout = np.flatnonzero(ordering).astype(np.int32)
    created = checkout_at[order_checkout]
    haste = course.haste[minute(created)]
    order_at = (created + _heavy_tail(len(created), 8.0, 0.7, 0.1, 30.0, rng) * haste).astype(np.int32)
    cart_cell = cell.astype(np.int32)
    checkout_at = np.concatenate((checkout_at, checkout_at[bots]))
    checkout_cart = np.concatenate((checkout_cart, checkout_cart[bots]))
    category = shop.CATEGORY_OF[cart_cell[checkout_cart[order_checkout]]]
    amount = np.exp(rng.standard_normal(len(order_at)) * shop.AMOUNT_SIGMA) * shop.MEDIAN_AMOUNT
    sku = category * shop.SKUS_A_CATEGORY + rng.choice(shop.SKUS_A_CATEGORY, len(order_at), p=shop.SKU_WEIGHTS)
    source = rng.integers(course.producers, size=len(order_at))
    paid_at, failed_at, failed_order = _pay(course, order_at, haste, rng)
    cancel_at, refund_at = _call_off(course, order_at, paid_at, rng)
    return Journeys(
        views,
        pages,
        cart_at,
        cart_cell,
        checkout_at,
        checkout_cart,
        order_at,
        order_checkout,
        sku.astype(np.int32),
        source.astype(np.int32),
        np.rint(amount * shop.CATEGORY_PRICE[category]),
        paid_at,
        failed_at,
        failed_order,
        cancel_at,
        refund_at,
        dispatched,
    )


def _heavy_tail(
    size: int, median_s: float, sigma: float, tail: float, scale_s: float, rng: np.random.Generator
) -> Floats:
    """Log-normal delays, and a share of Lomax ones with infinite variance."""
    usual = np.exp(rng.standard_normal(size) * sigma) * median_s
    return np.where(rng.random(size) < tail, rng.pareto(1.8, size) * scale_s, usual)


def _pay(
    course: Course, order_at: Seconds, haste: Floats, rng: np.random.Generator
) -> tuple[Seconds, Seconds, Seconds]:
    """(when each order is paid, the failed attempts and their orders)."""
    size = len(order_at)
    at = order_at + np.exp(rng.standard_normal(size) * 0.8) * 15.0 * haste
    at += course.pay_delay_s[np.clip(order_at // 60, 0, course.minutes - 1)]
    tries, paid_at = rng.random(size) < shop.PAYS, np.full(size, NEVER)
    failed: list[Seconds] = []
    orders: list[Seconds] = []
    for _ in range(shop.ATTEMPTS):
        works = rng.random(size) < shop.PAYMENT_WORKS
        paid_at = np.where(tries & works, at.astype(np.int32), paid_at)
        fails = np.flatnonzero(tries & ~works)
        failed.append(at[fails].astype(np.int32))
        orders.append(fails.astype(np.int32))
        tries = tries & ~works & (rng.random(size) < shop.RETRIES)
        at = at + np.exp(rng.standard_normal(size) * 0.8) * 25.0
    return paid_at, np.concatenate(failed), np.concatenate(orders)


def _call_off(course: Course, order_at: Seconds, paid_at: Seconds, rng: np.random.Generator) -> tuple[Seconds, Seconds]:
    """(when each order is cancelled, when it is refunded)."""
    size = len(order_at)
    off = (paid_at < NEVER) & (rng.random(size) < shop.CALLED_OFF)
    off_at = np.where(off, paid_at, 0) + np.exp(rng.standard_normal(size) * 0.6) * 1500
    unpaid_at = order_at + shop.UNPAID_S + rng.uniform(0, 5, size)
    if course.batch_cancel is not None:
        from_s, to_s, at_s = course.batch_cancel
        unpaid_at = np.where((order_at >= from_s) & (order_at < to_s), at_s + rng.uniform(0, 30, size), unpaid_at)
    refund_at = np.where(off, off_at, NEVER).astype(np.int32)
    return np.where(off, off_at, np.where(paid_at < NEVER, NEVER, unpaid_at)).astype(np.int32), refund_at


# Stock ----------------------------------------------------------------------------------------------------------------


def _stock(course: Course, journeys: Journeys, rng: np.random.Generator) -> tuple[Journeys, dict[int, int]]:
    """Stock of the SKUs on promotion: ample, or (`tight_stock`) a third of them lasts for less than the sale."""
    inside = (journeys.order_at >= shop.PRE_S) & (journeys.order_at < NEVER)
    wanted = np.bincount(journeys.order_sku[inside], minlength=shop.SKUS_A_CATEGORY * len(shop.CATEGORIES))
    if not course.tight_stock:
        return journeys, {sku: int(wanted[sku]) * 10 + 100 for sku in shop.PROMOTED}
    stock = {sku: max(10, int(wanted[sku] * rng.uniform(0.2, 3.0))) for sku in shop.PROMOTED}
    refused = np.zeros(len(journeys.order_at), np.bool_)
    for sku, units in stock.items():
        refused[sold_out_orders(journeys, sku, units)] = True
    return journeys.drop_orders(refused), stock


def sold_out_orders(journeys: Journeys, sku: int, units: int) -> Ints:
    """The orders of a SKU that its stock does not cover. Cancelled orders give their units back, and orders of the
    seconds after the last unit oversell."""
    mine = np.flatnonzero((journeys.order_sku == sku) & (journeys.order_at >= shop.PRE_S) & (journeys.order_at < NEVER))
    mine = mine[np.argsort(journeys.order_at[mine], kind="stable")]
    back: list[int] = []
    refused: list[int] = []
    left, gone_at = units, -1
    for order, at, cancelled in zip(
        mine.tolist(), journeys.order_at[mine].tolist(), journeys.cancel_at[mine].tolist(), strict=True
    ):
        while back and back[0] <= at:
            heapq.heappop(back)
            left += 1
        if left <= 0 and at - gone_at > _OVERSOLD_S:
            refused.append(order)
            continue
        left -= 1
        if left == 0:
            gone_at = at
        if cancelled < NEVER:
            heapq.heappush(back, cancelled)
    return np.array(refused, np.int64)
