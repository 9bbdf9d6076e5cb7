"""What each kind of incident removes or delays."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from alerts.findings import Labels
from alerts.rehearsal.bounds import bernoulli_bound_s, delayed_bound_s, poisson_bound_s
from alerts.rules.detect import HealthCheck
from tests.bench.study import shop
from tests.bench.study.faults import Fault, HealthFault, LateOrders, SourceLoss
from tests.bench.study.journeys import NEVER, Journeys, Seconds, sold_out_orders
from tests.bench.study.truth import SOON_S, IncidentSpec, ReportedAs

Bools = npt.NDArray[np.bool_]
LATE_S, SLOW_S = 40, 180


@dataclass(frozen=True, slots=True)
class Injection:
    """The arguments of an injector."""

    journeys: Journeys
    spec: IncidentSpec
    start_s: float
    end_s: float
    rng: np.random.Generator

    def inside(self, at: Seconds) -> Bools:
        return (at >= self.start_s) & (at < self.end_s)

    def matches(self, cell: Seconds) -> Bools:
        """Whether cells are in the spec's labels."""
        if not self.spec.labels:
            return np.ones(len(cell), np.bool_)
        ((dimension, value),) = self.spec.labels
        axis, names = {
            "channel": (shop.CHANNEL_OF, shop.CHANNELS),
            "region": (shop.REGION_OF, shop.REGIONS),
            "category": (shop.CATEGORY_OF, shop.CATEGORIES),
        }[dimension]
        found: Bools = axis[cell] == list(names).index(value)
        return found

    def struck(self, at: Seconds, cell: Seconds) -> Bools:
        """The events to remove."""
        return self.inside(at) & self.matches(cell) & (self.rng.random(len(at)) < self.spec.size)

    def rate(self, at: Seconds, which: Bools | None = None) -> float:
        """Events a second in the time of the incident."""
        inside = self.inside(at)
        return float((inside if which is None else inside & which).sum()) / (self.end_s - self.start_s)


@dataclass(frozen=True, slots=True)
class Injected:
    """What an injector changed."""

    journeys: Journeys
    bound_s: float
    poisson_s: float = math.nan
    faults: tuple[Fault, ...] = ()
    names: frozenset[Labels] = frozenset()
    """Beside the spec's labels and the whole."""
    reported_as: ReportedAs = ReportedAs.LOSS
    early_s: float = 0.0
    stock: Mapping[int, int] = field(default_factory=dict)
    """Other units of some SKUs as the panes begin."""
    delayed_s: float = math.nan
    """The bound where successes follow their trials by the delays of this day."""


def _rate_bounds(given: Injection, trials: float, successes: float) -> tuple[float, float]:
    """(Bernoulli's, Poisson's) of successes that fall by the spec's size."""
    if not trials or not successes:
        return math.inf, math.inf
    share, kept = successes / trials, 1 - given.spec.size
    return bernoulli_bound_s(trials, min(share, 0.999), min(share, 0.999) * kept), poisson_bound_s(successes, kept)


def _delayed_bound_s(given: Injection, trials: float, successes: float) -> float:
    """The bound of orders that follow their checkouts by the delays of this time."""
    journeys, at = given.journeys, np.flatnonzero(given.inside(given.journeys.order_at))[:_SAMPLE]
    if not len(at):
        return math.inf
    delays_s = journeys.order_at[at] - journeys.checkout_at[journeys.order_checkout[at]]
    share = min(successes / trials, 0.999)
    return delayed_bound_s(trials, share, share * (1 - given.spec.size), delays_s.astype(np.float64))


_SAMPLE = 5000


def _drop_orders(given: Injection) -> Injected:
    journeys = given.journeys
    cell = journeys.order_cell
    trials = given.rate(journeys.checkout_at, given.matches(journeys.checkout_cell))
    successes = given.rate(journeys.order_at, given.matches(cell))
    return Injected(
        journeys.drop_orders(given.struck(journeys.order_at, cell)),
        *_rate_bounds(given, trials, successes),
        delayed_s=_delayed_bound_s(given, trials, successes),
    )


def _drop_checkouts(given: Injection) -> Injected:
    journeys = given.journeys
    cell, carts = journeys.checkout_cell, given.matches(journeys.cart_cell)
    bounds = _rate_bounds(
        given, given.rate(journeys.cart_at, carts), given.rate(journeys.checkout_at, given.matches(cell))
    )
    return Injected(journeys.drop_checkouts(given.struck(journeys.checkout_at, cell)), *bounds)


def _drop_carts(given: Injection) -> Injected:
    journeys = given.journeys
    views = journeys.views[int(given.start_s) : int(given.end_s), given.matches(np.arange(shop.CELLS, dtype=np.int32))]
    bounds = _rate_bounds(
        given,
        float(views.sum()) / (given.end_s - given.start_s),
        given.rate(journeys.cart_at, given.matches(journeys.cart_cell)),
    )
    return Injected(journeys.drop_carts(given.struck(journeys.cart_at, journeys.cart_cell)), *bounds)


def _fail_payments(given: Injection) -> Injected:
    """Attempts fail; most are repeated, and succeed after the incident or by luck."""
    journeys, rng = given.journeys, given.rng
    matches, at = given.matches(journeys.order_cell), journeys.paid_at.astype(np.float64)
    paid = given.rate(journeys.paid_at, matches)
    failed = given.rate(journeys.failed_at, matches[journeys.failed_order])
    usual = failed / (paid + failed) if paid + failed else 0.0
    bound = bernoulli_bound_s(paid + failed, max(usual, 0.001), min(0.999, usual + (1 - usual) * given.spec.size))
    trying, paid_at = matches & given.inside(journeys.paid_at), journeys.paid_at.copy()
    failed_at, failed_order = [journeys.failed_at], [journeys.failed_order]
    for _ in range(shop.ATTEMPTS):
        fails = trying & (at < given.end_s) & (rng.random(len(at)) < given.spec.size)
        paid_at[trying & ~fails] = at[trying & ~fails].astype(np.int32)
        failed_at.append(at[fails].astype(np.int32))
        failed_order.append(np.flatnonzero(fails).astype(np.int32))
        paid_at[fails] = NEVER
        trying = fails & (rng.random(len(at)) < shop.RETRIES)
        at = at + np.exp(rng.standard_normal(len(at)) * 0.8) * 25.0
    unpaid = (journeys.paid_at < NEVER) & (paid_at == NEVER)
    changed = replace(
        journeys,
        paid_at=paid_at,
        failed_at=np.concatenate(failed_at),
        failed_order=np.concatenate(failed_order),
        cancel_at=np.where(unpaid, journeys.order_at + shop.UNPAID_S, journeys.cancel_at).astype(np.int32),
        refund_at=np.where(unpaid, NEVER, journeys.refund_at),
    )
    return Injected(changed, bound)


def _stop_orders(given: Injection) -> Injected:
    """No order is taken; two in five buyers come back after the end."""
    journeys, rng = given.journeys, given.rng
    hit = given.inside(journeys.order_at)
    back = hit & (rng.random(len(hit)) < 0.4)
    shift = np.where(back, given.end_s + rng.exponential(120.0, len(hit)) - journeys.order_at, 0).astype(np.int32)
    times = {
        name: np.where(getattr(journeys, name) < NEVER, getattr(journeys, name) + shift, NEVER).astype(np.int32)
        for name in ("order_at", "paid_at", "cancel_at", "refund_at")
    }
    of_failed = np.where(journeys.failed_at < NEVER, journeys.failed_at + shift[journeys.failed_order], NEVER)
    moved = replace(journeys, **times, failed_at=of_failed.astype(np.int32))
    bounds = _rate_bounds(given, given.rate(journeys.checkout_at), given.rate(journeys.order_at))
    return Injected(moved.drop_orders(hit & ~back), *bounds, reported_as=ReportedAs.STOP)


def _stop_shop(given: Injection) -> Injected:
    """The site is down: no clicks, no orders."""
    journeys = given.journeys
    views, pages, at = journeys.views.copy(), journeys.pages.copy(), slice(int(given.start_s), int(given.end_s))
    bound = poisson_bound_s(float(views[at].sum()) / (given.end_s - given.start_s), 0.0)
    views[at], pages[at] = 0, 0
    left = replace(journeys, views=views, pages=pages)
    left = left.drop_carts(given.inside(left.cart_at))
    left = left.drop_checkouts(given.inside(left.checkout_at))
    left = left.drop_orders(given.inside(left.order_at))
    topics = frozenset({(("topic", "clicks"),), (("topic", "orders"),)})
    return Injected(left, bound, names=topics, reported_as=ReportedAs.STOP)


def _lose_clicks(given: Injection) -> Injected:
    """A share of one channel's clicks is not recorded; its orders continue."""
    ((_, channel),) = given.spec.labels
    number = list(shop.CHANNELS).index(channel)
    source = shop.CLICK_SOURCES[number]
    at = slice(int(given.start_s), int(given.end_s))
    seen = given.journeys.views[at].sum(axis=0)
    mine, total = float(seen[number == shop.CHANNEL_OF].sum()), float(seen.sum())
    share, kept = mine / total, 1 - given.spec.size
    after = share * kept / (1 - share + share * kept)
    bound = bernoulli_bound_s((total - mine * given.spec.size) / given.spec.lasts_s, share, after)
    loss = SourceLoss(source, int(given.start_s), int(given.end_s), given.spec.size)
    poisson = poisson_bound_s(mine / given.spec.lasts_s, kept)
    names = frozenset({_source_labels(source), (("topic", "clicks"),)})
    return Injected(given.journeys, bound, poisson, (loss,), names, ReportedAs.DATA)


def _lose_checkouts(given: Injection) -> Injected:
    """The checkouts of one channel are not recorded; its orders continue."""
    ((_, channel),) = given.spec.labels
    journeys, source = given.journeys, shop.CLICK_SOURCES[list(shop.CHANNELS).index(channel)]
    bounds = _rate_bounds(
        given,
        given.rate(journeys.cart_at, given.matches(journeys.cart_cell)),
        given.rate(journeys.checkout_at, given.matches(journeys.checkout_cell)),
    )
    loss = SourceLoss(source, int(given.start_s), int(given.end_s), given.spec.size, ("checkouts",))
    names = frozenset({_source_labels(source), (("topic", "clicks"),)})
    return Injected(journeys, *bounds, (loss,), names, ReportedAs.DATA)


def _lose_orders(given: Injection) -> Injected:
    """One producer of orders sends nothing, or a part; the shop sells as before."""
    ((_, source),) = given.spec.labels
    mine = given.journeys.order_source == int(source.rpartition("-")[2])
    events = given.rate(given.journeys.order_at, mine) + given.rate(given.journeys.paid_at, mine)
    loss = SourceLoss(source, int(given.start_s), int(given.end_s), given.spec.size)
    bound = poisson_bound_s(events, 1 - given.spec.size)
    names = frozenset({_source_labels(source), (("topic", "orders"),)})
    return Injected(given.journeys, bound, math.nan, (loss,), names, ReportedAs.DATA)


def _lose_half_of_two(given: Injection) -> Injected:
    """As `_lose_orders`, where there are two producers."""
    two = replace(given.journeys, order_source=given.journeys.order_source % 2)
    return _lose_orders(replace(given, journeys=two))


def _delay_orders(given: Injection) -> Injected:
    """Half of the events of orders come 40 s late, all of one of two producers; nothing is lost."""
    halves = given.journeys.order_source % 2
    # Events that name no producer are not counted by producer.
    sources = halves if given.spec.labels else halves + shop.ORDER_SOURCES
    journeys = replace(given.journeys, order_source=sources)
    late = LateOrders(1 if given.spec.labels else shop.ORDER_SOURCES + 1, given.start_s, given.end_s, LATE_S)
    names = frozenset({(("topic", "orders"),), *({_source_labels("orders/oms-1")} if given.spec.labels else ())})
    return Injected(journeys, math.nan, faults=(late,), names=names, reported_as=ReportedAs.DELAY)


def _slow_payments(given: Injection) -> Injected:
    """Payments take three minutes longer; all are paid."""
    journeys = given.journeys
    slow = given.inside(journeys.paid_at)
    moved = np.where(slow, journeys.paid_at + SLOW_S, journeys.paid_at).astype(np.int32)
    names = frozenset({(("topic", "orders"),)})
    return Injected(replace(journeys, paid_at=moved), math.nan, names=names, reported_as=ReportedAs.DELAY)


def _repeat_events(given: Injection) -> Injected:
    """A share of the events of orders comes twice; repeated events are not counted."""
    return _unhealthy(given, HealthCheck.REPEATED, "orders")


def _refuse_events(given: Injection) -> Injected:
    """A share of all clicks breaks the contract and is not counted."""
    done, at = _unhealthy(given, HealthCheck.REFUSED, "clicks"), (int(given.start_s), int(given.end_s))
    return replace(done, faults=(*done.faults, *(SourceLoss(one, *at, given.spec.size) for one in shop.CLICK_SOURCES)))


def _unhealthy(given: Injection, check: HealthCheck, topic: str) -> Injected:
    fault = HealthFault(check, topic, given.start_s, given.end_s, given.spec.size)
    names = frozenset({(("topic", topic),)})
    return Injected(given.journeys, math.nan, faults=(fault,), names=names, reported_as=ReportedAs.DATA)


def _sell_out(given: Injection) -> Injected:
    """A SKU on promotion is sold out by its orders, and stays so."""
    ((_, name),) = given.spec.labels
    sku = next(number for number in shop.PROMOTED if shop.sku_name(number) == name)
    journeys = given.journeys
    mine = (journeys.order_sku == sku) & (journeys.order_at < NEVER)
    units = int((mine & (journeys.order_at >= shop.PRE_S) & (journeys.order_at < given.start_s)).sum())
    back = mine & (journeys.order_at >= shop.PRE_S) & (journeys.cancel_at < given.start_s)
    refused = np.zeros(len(mine), np.bool_)
    units -= int(back.sum())
    refused[sold_out_orders(journeys, sku, units)] = True
    bound = poisson_bound_s(given.rate(journeys.order_at, mine), 0.0)
    return Injected(
        journeys.drop_orders(refused), bound, names=category_labels(sku), early_s=SOON_S, stock={sku: units}
    )


def _stop_dispatch(given: Injection) -> Injected:
    """A warehouse dispatches nothing."""
    ((_, warehouse),) = given.spec.labels
    dispatched, at = given.journeys.dispatched.copy(), slice(int(given.start_s), int(given.end_s))
    number = list(shop.WAREHOUSES).index(warehouse)
    bound = poisson_bound_s(float(dispatched[at, :, number].sum()) / given.spec.lasts_s, 0.0)
    dispatched[at, :, number] = 0
    names = frozenset({_source_labels(warehouse)})
    stopped = replace(given.journeys, dispatched=dispatched)
    return Injected(stopped, bound, names=names, reported_as=ReportedAs.STOP)


def category_labels(sku: int) -> frozenset[Labels]:
    """The category that contains a SKU."""
    return frozenset({(("category", shop.sku_name(sku).partition("-")[0]),)})


def _source_labels(source: str) -> Labels:
    """As the series of `for_each: [source]` are labelled."""
    topic, _, name = source.partition("/")
    return (("source", name), ("topic", topic))


INJECTORS: Mapping[str, Callable[[Injection], Injected]] = {
    "drop_orders": _drop_orders,
    "drop_checkouts": _drop_checkouts,
    "drop_carts": _drop_carts,
    "payment_failures": _fail_payments,
    "order_stop": _stop_orders,
    "outage": _stop_shop,
    "tracking_loss": _lose_clicks,
    "checkouts_untracked": _lose_checkouts,
    "producer_loses": _lose_orders,
    "one_of_two_loses": _lose_half_of_two,
    "late_orders": _delay_orders,
    "slow_payments": _slow_payments,
    "duplicates": _repeat_events,
    "dead_letters": _refuse_events,
    "stock_out": _sell_out,
    "dispatch_stop": _stop_dispatch,
}
