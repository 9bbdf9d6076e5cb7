"""Incidents as changes of a generated day, with what is true of them.

An incident removes or delays events of a day that is otherwise the same, so its loss is the difference of GMV.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from alerts.findings import Category, Labels
from tests.bench.study import shop
from tests.bench.study.bounds import bernoulli_bound_s, poisson_bound_s
from tests.bench.study.inputs import SourceLoss
from tests.bench.study.journeys import NEVER, Journeys, Seconds, StudyDay, sold_out_orders

Bools = npt.NDArray[np.bool_]
WHOLE: Labels = ()
SETTLE_AFTER_S = 1200
"""Loss is counted so long after the end, because journeys take time."""
SOON_S = 3600.0
"""A stock-out may be reported so long before: the rule forecasts half an hour, and forecasts err."""


@dataclass(frozen=True, slots=True)
class IncidentSpec:
    """An incident to inject: seconds are of the sale."""

    kind: str
    start_s: float = 1800.0
    lasts_s: float = 600.0
    size: float = 1.0
    """Share that is lost."""
    labels: Labels = WHOLE
    """Where: empty, or one (dimension, value)."""

    def __str__(self) -> str:
        where = ", ".join(f"{name} {value}" for name, value in self.labels) or "whole"
        return f"{self.kind} {self.size:.0%} {where}"


@dataclass(frozen=True, slots=True)
class TrueIncident:
    """What is true of an incident. Times are seconds of the day as in `Journeys`."""

    spec: IncidentSpec
    start_s: float
    end_s: float
    names: frozenset[Labels]
    """A page that names one of these is about it."""
    lost: float = 0.0
    """GMV, minor units; 0 where only data are wrong."""
    category: Category = Category.BUSINESS
    early_s: float = 0.0
    """A page so long before the start is right, too."""
    bound_s: float = math.nan
    """Bernoulli's for rates, else Poisson's."""
    poisson_s: float = math.nan
    """Lorden's for the Poisson count, where the incident is a rate's."""

    @property
    def lost_per_minute(self) -> float:
        return 60 * self.lost / (self.end_s - self.start_s)


@dataclass(slots=True)
class StudyCase:
    """A day with its incidents."""

    day: StudyDay
    journeys: Journeys
    losses: list[SourceLoss] = field(default_factory=list)
    incidents: list[TrueIncident] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Injection:
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
class _Injected:
    """What an injector changed."""

    journeys: Journeys
    bound_s: float
    poisson_s: float = math.nan
    losses: tuple[SourceLoss, ...] = ()
    names: frozenset[Labels] = frozenset()
    """Beside the spec's labels and the whole."""
    category: Category = Category.BUSINESS
    early_s: float = 0.0
    stock: Mapping[int, int] = field(default_factory=dict)
    """Other units of some SKUs as the panes begin."""


def inject(day: StudyDay, specs: Sequence[IncidentSpec]) -> StudyCase:
    """The day with these incidents, applied in their order; each loses what is lost beside those before it."""
    case = StudyCase(replace(day, stock=dict(day.stock)), day.journeys)
    for place, spec in enumerate(specs):
        start_s = day.sale_s + spec.start_s
        given = _Injection(
            case.journeys, spec, start_s, start_s + spec.lasts_s, np.random.default_rng([day.seed, 2, place])
        )
        done = INJECTORS[spec.kind](given)
        names = {spec.labels, *done.names}
        if done.category is Category.BUSINESS:
            names.add(WHOLE)
        lost = _gmv(case.journeys, given) - _gmv(done.journeys, given)
        case.incidents.append(
            TrueIncident(
                spec,
                start_s,
                given.end_s,
                frozenset(names),
                lost,
                done.category,
                done.early_s,
                done.bound_s,
                done.poisson_s,
            )
        )
        case.journeys = done.journeys
        case.losses += done.losses
        case.day.stock.update(done.stock)
    return case


def _gmv(journeys: Journeys, given: _Injection) -> float:
    inside = (journeys.paid_at >= given.start_s) & (journeys.paid_at < given.end_s + SETTLE_AFTER_S)
    return float(journeys.amount[inside].sum())


def _rate_bounds(given: _Injection, trials: float, successes: float) -> tuple[float, float]:
    """(Bernoulli's, Poisson's) of successes that fall by the spec's size."""
    if not trials or not successes:
        return math.inf, math.inf
    share, kept = successes / trials, 1 - given.spec.size
    return bernoulli_bound_s(trials, min(share, 0.999), min(share, 0.999) * kept), poisson_bound_s(successes, kept)


def _drop_orders(given: _Injection) -> _Injected:
    journeys = given.journeys
    cell, checkouts = journeys.order_cell, given.matches(journeys.checkout_cell)
    bounds = _rate_bounds(
        given, given.rate(journeys.checkout_at, checkouts), given.rate(journeys.order_at, given.matches(cell))
    )
    return _Injected(journeys.drop_orders(given.struck(journeys.order_at, cell)), *bounds)


def _drop_checkouts(given: _Injection) -> _Injected:
    journeys = given.journeys
    cell, carts = journeys.checkout_cell, given.matches(journeys.cart_cell)
    bounds = _rate_bounds(
        given, given.rate(journeys.cart_at, carts), given.rate(journeys.checkout_at, given.matches(cell))
    )
    return _Injected(journeys.drop_checkouts(given.struck(journeys.checkout_at, cell)), *bounds)


def _drop_carts(given: _Injection) -> _Injected:
    journeys = given.journeys
    views = journeys.views[int(given.start_s) : int(given.end_s), given.matches(np.arange(shop.CELLS, dtype=np.int32))]
    bounds = _rate_bounds(
        given,
        float(views.sum()) / (given.end_s - given.start_s),
        given.rate(journeys.cart_at, given.matches(journeys.cart_cell)),
    )
    return _Injected(journeys.drop_carts(given.struck(journeys.cart_at, journeys.cart_cell)), *bounds)


def _fail_payments(given: _Injection) -> _Injected:
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
    return _Injected(changed, bound)


def _stop_orders(given: _Injection) -> _Injected:
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
    return _Injected(moved.drop_orders(hit & ~back), *bounds)


def _stop_shop(given: _Injection) -> _Injected:
    """The site is down: no clicks, no orders."""
    journeys = given.journeys
    views, pages, at = journeys.views.copy(), journeys.pages.copy(), slice(int(given.start_s), int(given.end_s))
    bound = poisson_bound_s(float(views[at].sum()) / (given.end_s - given.start_s), 0.0)
    views[at], pages[at] = 0, 0
    left = replace(journeys, views=views, pages=pages)
    left = left.drop_carts(given.inside(left.cart_at))
    left = left.drop_checkouts(given.inside(left.checkout_at))
    return _Injected(left.drop_orders(given.inside(left.order_at)), bound)


def _lose_clicks(given: _Injection) -> _Injected:
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
    names = frozenset({_source_labels(source)})
    return _Injected(given.journeys, bound, poisson, (loss,), names, Category.DATA)


def _silence_producer(given: _Injection) -> _Injected:
    """One producer of orders sends nothing; the shop sells as before."""
    ((_, source),) = given.spec.labels
    mine = given.journeys.order_source == int(source.rpartition("-")[2])
    bound = poisson_bound_s(given.rate(given.journeys.order_at, mine) + given.rate(given.journeys.paid_at, mine), 0.0)
    loss = SourceLoss(source, int(given.start_s), int(given.end_s))
    return _Injected(given.journeys, bound, math.nan, (loss,), frozenset({_source_labels(source)}), Category.DATA)


def _sell_out(given: _Injection) -> _Injected:
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
    return _Injected(
        journeys.drop_orders(refused), bound, names=_category_labels(sku), early_s=SOON_S, stock={sku: units}
    )


def _stop_dispatch(given: _Injection) -> _Injected:
    """A warehouse dispatches nothing."""
    ((_, warehouse),) = given.spec.labels
    dispatched, at = given.journeys.dispatched.copy(), slice(int(given.start_s), int(given.end_s))
    number = list(shop.WAREHOUSES).index(warehouse)
    bound = poisson_bound_s(float(dispatched[at, :, number].sum()) / given.spec.lasts_s, 0.0)
    dispatched[at, :, number] = 0
    names = frozenset({_source_labels(warehouse)})
    return _Injected(replace(given.journeys, dispatched=dispatched), bound, names=names)


def _category_labels(sku: int) -> frozenset[Labels]:
    """The category that contains a SKU."""
    return frozenset({(("category", shop.sku_name(sku).partition("-")[0]),)})


def _source_labels(source: str) -> Labels:
    """As the series of `for_each: [source]` are labelled."""
    topic, _, name = source.partition("/")
    return (("source", name), ("topic", topic))


INJECTORS: Mapping[str, Callable[[_Injection], _Injected]] = {
    "drop_orders": _drop_orders,
    "drop_checkouts": _drop_checkouts,
    "drop_carts": _drop_carts,
    "payment_failures": _fail_payments,
    "order_stop": _stop_orders,
    "outage": _stop_shop,
    "tracking_loss": _lose_clicks,
    "producer_silent": _silence_producer,
    "stock_out": _sell_out,
    "dispatch_stop": _stop_dispatch,
}

PARTS: Sequence[Labels] = (
    WHOLE,
    (("channel", "app"),),
    (("channel", "web"),),
    (("region", "east"),),
    (("region", "west"),),
    (("category", "phones"),),
    (("category", "sports"),),
)
SIZES = (0.1, 0.2, 0.4, 0.8)
_SILENT = IncidentSpec("producer_silent", labels=(("source", "orders/oms-2"),))
_OTHERS: Sequence[tuple[IncidentSpec, ...]] = (
    (IncidentSpec("drop_checkouts", size=0.3),),
    (IncidentSpec("drop_carts", size=0.3),),
    (IncidentSpec("payment_failures", size=0.3),),
    (IncidentSpec("payment_failures", size=0.5, labels=(("region", "west"),)),),
    (IncidentSpec("order_stop", lasts_s=300),),
    (IncidentSpec("outage", lasts_s=300),),
    (IncidentSpec("tracking_loss", size=0.5, labels=(("channel", "app"),)),),
    (IncidentSpec("tracking_loss", size=1.0, labels=(("channel", "mini"),)),),
    (_SILENT,),
    (IncidentSpec("stock_out", lasts_s=1800, labels=(("sku", "phones-0"),)),),
    (IncidentSpec("dispatch_stop", lasts_s=1200, labels=(("source", "logistics/wms-west"),)),),
)
_TWO: Sequence[tuple[IncidentSpec, ...]] = (
    (
        IncidentSpec("payment_failures", size=0.6, labels=(("region", "west"),)),
        IncidentSpec("drop_carts", start_s=2100, labels=(("channel", "mini"),)),
    ),
    (_SILENT, IncidentSpec("payment_failures", start_s=2100, size=0.9)),
    (
        IncidentSpec("tracking_loss", size=0.5, labels=(("channel", "app"),)),
        IncidentSpec("drop_orders", start_s=2100, size=0.6, labels=(("channel", "web"),)),
    ),
    (
        IncidentSpec("drop_orders", size=0.6, labels=(("category", "beauty"),)),
        IncidentSpec("drop_checkouts", start_s=2100, size=0.6, labels=(("channel", "mini"),)),
    ),
    (
        IncidentSpec("stock_out", lasts_s=1800, labels=(("sku", "phones-0"),)),
        IncidentSpec("payment_failures", start_s=2100, size=0.6, labels=(("region", "south"),)),
    ),
)
GROUPS: Mapping[str, Sequence[tuple[IncidentSpec, ...]]] = {
    "drops": [(IncidentSpec("drop_orders", size=size, labels=labels),) for size in SIZES for labels in PARTS],
    "others": _OTHERS,
    "two": _TWO,
}


def cases(group: str) -> Iterator[tuple[IncidentSpec, ...]]:
    """The incidents of a group, or of all: 44 sales with 49 incidents."""
    for name, specs in GROUPS.items():
        if group in (name, "all"):
            yield from specs


def sold_out(day: StudyDay, stock: npt.NDArray[np.float64], step_s: int) -> list[TrueIncident]:
    """The stock-outs of a day with tight stock, from the stock by step and SKU."""
    found = []
    for place, sku in enumerate(shop.PROMOTED):
        gone = np.flatnonzero(stock[:, place] <= 0)
        if len(gone):
            start_s, end_s = (float(shop.PRE_S + step * step_s) for step in (gone[0], gone[-1] + 1))
            labels = (("sku", shop.sku_name(sku)),)
            spec = IncidentSpec("stock_out", start_s - day.sale_s, end_s - start_s, labels=labels)
            names = frozenset({labels, *_category_labels(sku)})
            found.append(TrueIncident(spec, start_s, end_s, names, lost=math.nan, early_s=SOON_S))
    return found
