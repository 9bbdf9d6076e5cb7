"""The simulated sale as counters per second, without events: a day takes seconds, for studies of hundreds of sales.

Traffic, funnel and delays are the simulator's own. Left out: searches, ads, live rooms, stock, shipping, lateness and
duplicates. Incidents: `conversion_drop` (any stage, by channel or region), `payment_failures`, `order_stop`,
`refund_surge`, `traffic_*`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alerts.detection.panes import ScopeValue
from consumers.contract.events import Phase, Promotion
from streams.simulate import SimulationConfig
from streams.simulate.browsing import STEP_MEDIAN_S, STEP_SIGMA
from streams.simulate.chance import Purpose, lognormal_ms, pick, stream
from streams.simulate.columns import Bools, Bytes, Floats, Ints
from streams.simulate.effects import ChanceSite, IncidentEffects
from streams.simulate.orders import CHECKOUT_MEDIAN_S, ORDER_MEDIAN_S, SIGMA
from streams.simulate.payments import (
    ATTEMPTS,
    CALL_OFF_MEDIAN_S,
    CALL_OFF_SIGMA,
    PAY_MEDIAN_S,
    PAY_SIGMA,
    RETRY_MEDIAN_S,
    SURGE_MEDIAN_S,
    UNPAID_S,
)
from streams.simulate.shoppers import weights
from streams.simulate.traffic import Traffic
from tests.alerts.dense_panes import DensePanes

CATEGORIES = 20
COUNTERS = (
    *("page_views", "product_views", "cart_adds", "checkouts", "orders_created", "orders_paid"),
    *("payments_failed", "orders_cancelled", "orders_refunded", "gmv"),
)
_AMOUNT_MEDIAN, _AMOUNT_SIGMA = 9000.0, 0.9
_CHUNK = 200_000


@dataclass(frozen=True, slots=True)
class _Crowd:
    """The sessions of one chunk."""

    start: Ints
    channel: Bytes
    region: Bytes

    def dims(self, at: Ints) -> dict[str, Bytes | Ints]:
        return {"channel": self.channel[at], "region": self.region[at]}


class CountsSimulator:
    """Simulates one sale. `orders_per_minute` is the mean of the run and replaces the configuration's event rate."""

    def __init__(self, config: SimulationConfig, orders_per_minute: float) -> None:
        self.config = config
        self.effects = IncidentEffects(config)
        channels = [label for label, _ in config.channels]
        regions = [label for label, _ in config.regions]
        self.labels: list[ScopeValue] = [
            ("all", ""),
            *(("channel", label) for label in channels),
            *(("region", label) for label in regions),
            *(("category", label) for label in config.categories[:CATEGORIES]),
        ]
        self._channel_row, self._region_row = 1, 1 + len(channels)
        self._category_row = self._region_row + len(regions)
        self._start_s = config.start_ms // 1000
        self._table = np.zeros((config.duration_ms // 1000, len(self.labels), len(COUNTERS)), np.int32)
        funnel = config.funnel
        self._view_share = 1 - funnel.page_share - funnel.search_share
        with_cart = _with_cart(config, self._view_share)
        per_session = with_cart * funnel.checkout * funnel.order
        self.sessions = orders_per_minute * config.duration_s / 60 / per_session
        worth = stream(config.seed, Purpose.CATALOG).dirichlet(np.full(CATEGORIES, 3.0))
        self._category_edges = np.cumsum(worth)[:-1]

    def panes(self) -> DensePanes:
        """Simulate the run; its counters per second and scope."""
        starts = np.concatenate(
            [part.session_starts for part in Traffic(self.config).slices(self.sessions, self.effects)]
        )
        for place, first in enumerate(range(0, len(starts), _CHUNK)):
            self._play(starts[first : first + _CHUNK], place)
        return DensePanes(self._start_s, self.labels, COUNTERS, self._table)

    def _play(self, starts: Ints, place: int) -> None:
        config, funnel, size = self.config, self.config.funnel, len(starts)
        rng = stream(config.seed, Purpose.SESSIONS, place)
        crowd = _Crowd(
            starts, pick(rng.random(size), weights(config.channels)), pick(rng.random(size), weights(config.regions))
        )
        extra = funnel.steps - 1
        steps = 1 + rng.negative_binomial(2, 2 / (2 + extra), size).astype(np.int64)
        session = np.repeat(np.arange(size, dtype=np.int64), steps)
        begin = np.cumsum(steps) - steps
        dwell = lognormal_ms(rng, len(session), STEP_MEDIAN_S, STEP_SIGMA, config.shop_speed)
        until = np.cumsum(dwell)
        at = starts[session] + until - dwell - np.repeat((until - dwell)[begin], steps)
        ends = starts + until[begin + steps - 1] - (until - dwell)[begin]
        chance = rng.random(len(session))
        first = np.zeros(len(session), np.bool_)
        first[begin] = True
        is_view = ~first & (chance >= funnel.page_share + funnel.search_share)
        is_page = first | (chance < funnel.page_share)
        self._count("page_views", at[is_page], crowd, session[is_page])
        viewer, viewed = session[is_view], at[is_view]
        category = np.searchsorted(self._category_edges, rng.random(len(viewer)))
        self._count("product_views", viewed, crowd, viewer, category)
        in_cart = rng.random(len(viewer)) < funnel.cart
        later = (viewed + dwell[is_view] * rng.uniform(0.2, 0.95, len(viewer)))[in_cart].astype(np.int64)
        carter, category = viewer[in_cart], category[in_cart]
        kept = ~self.effects.sampled_hits(
            "conversion_drop", later, crowd.dims(carter), ChanceSite.CART, place, stage="cart"
        )
        carter, later, category = carter[kept], later[kept], category[kept]
        self._count("cart_adds", later, crowd, carter, category)
        self._check_out(crowd, carter, category, ends, place, rng)

    def _check_out(
        self, crowd: _Crowd, carter: Ints, category: Ints, ends: Ints, place: int, rng: np.random.Generator
    ) -> None:
        config, funnel, effects = self.config, self.config.funnel, self.effects
        session = np.unique(carter)
        at = ends[session] + lognormal_ms(rng, len(session), CHECKOUT_MEDIAN_S, SIGMA, config.shop_speed)
        created = at + lognormal_ms(rng, len(session), ORDER_MEDIAN_S, SIGMA, config.shop_speed)
        dims = crowd.dims(session)
        checks = rng.random(len(session)) < funnel.checkout
        checks &= ~effects.sampled_hits("conversion_drop", at, dims, ChanceSite.CHECKOUT, place, stage="checkout")
        self._count("checkouts", at[checks], crowd, session[checks])
        orders = checks & (rng.random(len(session)) < funnel.order)
        orders &= ~effects.sampled_hits("conversion_drop", created, dims, ChanceSite.ORDER, place, stage="order")
        for _, hit in effects.hits("order_stop", created, dims):
            orders &= ~hit
        lines = np.unique(np.stack((carter, category)), axis=1)
        ordering = np.zeros(len(crowd.start), np.bool_)
        ordering[session[orders]] = True
        when = np.zeros(len(crowd.start), np.int64)
        when[session] = created
        carter, category = lines[:, ordering[lines[0]]]
        self._add("orders_created", when[carter], self._category_row + category)
        who, created = session[orders], created[orders]
        self._count("orders_created", created, crowd, who)
        self._pay(crowd, who, created, place, rng)

    def _pay(self, crowd: _Crowd, who: Ints, created: Ints, place: int, rng: np.random.Generator) -> None:
        config, funnel, effects, size = self.config, self.config.funnel, self.effects, len(who)
        dims = crowd.dims(who)

        def waits(at: Ints) -> Ints:
            return effects.postpone(at, dims, place)

        at = waits(created + lognormal_ms(rng, size, PAY_MEDIAN_S, PAY_SIGMA, config.shop_speed))
        trying, paid, paid_at = rng.random(size) < funnel.pay_attempt, np.zeros(size, np.bool_), at
        for attempt in range(ATTEMPTS):
            works, again = rng.random(size) < funnel.payment, rng.random(size) < funnel.retry
            broken = effects.sampled_hits("payment_failures", at, dims, ChanceSite.PAYMENT, place * ATTEMPTS + attempt)
            pays = trying & works & ~broken
            failed = trying & ~pays
            paid_at = np.where(pays, at, paid_at)
            paid |= pays
            self._count("payments_failed", at[failed], crowd, who[failed])
            trying = failed & again
            at = np.where(trying, waits(at + lognormal_ms(rng, size, RETRY_MEDIAN_S, PAY_SIGMA, config.shop_speed)), at)
        amount = np.exp(rng.standard_normal(size) * _AMOUNT_SIGMA) * _AMOUNT_MEDIAN
        self._count("orders_paid", paid_at[paid], crowd, who[paid])
        self._count("gmv", paid_at[paid], crowd, who[paid], amount=amount[paid])
        off = paid & (rng.random(size) < funnel.call_off)
        off_at = paid_at + lognormal_ms(rng, size, CALL_OFF_MEDIAN_S, CALL_OFF_SIGMA, config.day_speed)
        sampled_hits = paid & effects.sampled_hits("refund_surge", paid_at, dims, ChanceSite.CALL_OFF, place)
        soon = paid_at + lognormal_ms(rng, size, SURGE_MEDIAN_S, 0.5, config.shop_speed)
        off_at = waits(np.where(sampled_hits, soon, off_at))
        off |= sampled_hits
        self._count("orders_refunded", off_at[off], crowd, who[off])
        unpaid_at = waits(np.maximum(created + round(UNPAID_S * 1000 / config.day_speed), at + 1000))
        cancelled = off | ~paid
        self._count("orders_cancelled", np.where(off, off_at, unpaid_at)[cancelled], crowd, who[cancelled])

    def _count(
        self,
        counter: str,
        at: Ints,
        crowd: _Crowd,
        who: Ints,
        category: Ints | None = None,
        amount: Ints | Floats | None = None,
    ) -> None:
        """Count events by channel, region and category; each counts 1, or its `amount`."""
        self._add(counter, at, np.zeros(len(at), np.int64), amount)
        self._add(counter, at, self._channel_row + crowd.channel[who].astype(np.int64), amount)
        self._add(counter, at, self._region_row + crowd.region[who].astype(np.int64), amount)
        if category is not None:
            self._add(counter, at, self._category_row + category, amount)

    def _add(self, counter: str, at: Ints, rows: Ints, amount: Ints | Floats | None = None) -> None:
        seconds = at // 1000 - self._start_s
        inside: Bools = (seconds >= 0) & (seconds < len(self._table))
        places = seconds[inside] * len(self.labels) + rows[inside]
        if not len(places):
            return
        low = int(places.min())
        low -= low % len(self.labels)
        sums = np.bincount(places - low, None if amount is None else amount[inside])
        rest = -len(sums) % len(self.labels)
        block = np.append(sums, np.zeros(rest)).reshape(-1, len(self.labels))
        first = low // len(self.labels)
        self._table[first : first + len(block), :, COUNTERS.index(counter)] += block.astype(np.int32)


def _with_cart(config: SimulationConfig, view_share: float) -> float:
    """The share of sessions with anything in the cart: views are thinned steps, 1 + negative binomial of shape 2."""
    extra = (config.funnel.steps - 1) * view_share * config.funnel.cart
    share: float = 1 - (2 / (2 + extra)) ** 2
    return share


def simulated_promotions(config: SimulationConfig) -> dict[str, Promotion]:
    """The promotion of a simulated run, as rules read it."""
    plan = config.promotion
    if plan is None:
        return {}
    phases = tuple(
        Phase(name=phase.name, starts_at=config.at(phase.begins), ends_at=config.at(phase.ends))
        for phase in plan.phases
    )
    promotion = Promotion(
        promotion_id=plan.promotion_id,
        name=plan.name,
        starts_at=phases[0].starts_at,
        ends_at=phases[-1].ends_at,
        timezone=config.timezone,
        phases=phases,
    )
    return {plan.promotion_id: promotion}
