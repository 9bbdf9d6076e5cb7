"""The shop of the study: its dimensions, its funnel, and what a shape of a day changes over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

CHANNELS = {"app": 0.50, "mini": 0.25, "web": 0.15, "live": 0.10}
REGIONS = {"east": 0.35, "south": 0.25, "north": 0.15, "west": 0.12, "centre": 0.08, "abroad": 0.05}
CATEGORIES = dict(
    zip(
        ["phones", "beauty", "apparel", "food", "home", "shoes", "toys", "sports", "books", "baby", "garden", "music"],
        (0.22, 0.16, 0.13, 0.11, 0.09, 0.07, 0.06, 0.05, 0.04, 0.03, 0.02, 0.02),
        strict=True,
    )
)
SHAPE_OF_CELLS = len(CHANNELS), len(REGIONS), len(CATEGORIES)
CELLS = int(np.prod(SHAPE_OF_CELLS))
"""A cell is one (channel, region, category)."""
CHANNEL_OF, REGION_OF, CATEGORY_OF = (
    axis.astype(np.int64) for axis in np.unravel_index(np.arange(CELLS), SHAPE_OF_CELLS)
)

CLICK_SOURCES = ("clicks/app-sdk", "clicks/mini-sdk", "clicks/web-tag", "clicks/live-sdk")
"""One producer of clicks a channel, in their order."""
ORDER_SOURCES = 4
"""Producers of orders, unless the shape has fewer; each order has one."""
WAREHOUSES = {"logistics/wms-east": 0.56, "logistics/wms-west": 0.44}

SKUS_A_CATEGORY = 20
PROMOTED_A_CATEGORY = 3
SKU_WEIGHTS = 1 / np.arange(1, SKUS_A_CATEGORY + 1) ** 1.1
SKU_WEIGHTS /= SKU_WEIGHTS.sum()
PROMOTED = [
    category * SKUS_A_CATEGORY + place for category in range(len(CATEGORIES)) for place in range(PROMOTED_A_CATEGORY)
]

VIEWS_A_VISIT = 8.0
CART_A_VIEW = 0.10
CHECKOUT_A_CART = 0.42
ORDER_A_CHECKOUT = 0.80
PAYS = 0.95
"""Share of orders of which a payment is tried."""
PAYMENT_WORKS = 0.92
RETRIES = 0.80
"""Share of failed payments that are tried again."""
ATTEMPTS = 4
CALLED_OFF = 0.015
UNPAID_S = 1800
ORDERS_A_VIEW = CART_A_VIEW * CHECKOUT_A_CART * ORDER_A_CHECKOUT
CHANNEL_CHECKOUT = np.array([1.05, 0.95, 0.80, 1.20])
"""Checkouts for each cart, against the shop's."""
CATEGORY_CART = np.array([0.8, 1.3, 1.1, 1.5, 0.9, 1.0, 0.9, 0.8, 1.2, 1.0, 0.6, 0.5])
"""Carts for each view, against the shop's."""
CATEGORY_PRICE = np.array([6.0, 0.8, 0.9, 0.4, 1.2, 1.1, 0.6, 1.0, 0.3, 0.8, 0.9, 1.5])
MEDIAN_AMOUNT, AMOUNT_SIGMA = 9000.0, 0.8

PRE_S = 5400
"""Events before the panes begin, so that delays and unpaid orders are in balance."""
WARM_S = 3600
"""Panes that rules only learn from, as after a start."""


def sku_name(number: int) -> str:
    """`books-7`."""
    return f"{list(CATEGORIES)[number // SKUS_A_CATEGORY]}-{number % SKUS_A_CATEGORY}"


@dataclass(slots=True)
class Course:
    """What changes over a day. Arrays are by minute from `PRE_S` before the panes on; 1 is the shop's usual."""

    minutes: int
    visits: Floats
    idle: Floats
    """# [minute, channel, category]: views by visitors who never buy, for each usual view of the cell"""
    channel: Floats
    """# [minute, channel]: shares, sum 1"""
    region: Floats
    category: Floats
    cart: Floats
    checkout: Floats
    order: Floats
    bots: Floats
    """Checkouts that never become orders, for each checkout."""
    haste: Floats
    """Factor of the delays between the stages."""
    pay_delay_s: Floats
    branching: float = 0.15
    """Hawkes process: mean number of visits that each visit brings about."""
    gamma_cv: float = 0.03
    """Gamma noise of the visits by half a minute: standard deviation over mean."""
    group_cv: float = 0.0
    """The same of carts for each view, by 20 s."""
    deferred: tuple[float, float, float] | None = None
    """(from_s, to_s, share): so many checkouts of carts of that time wait for its end."""
    batch_cancel: tuple[float, float, float] | None = None
    """(from_s, to_s, at_s): unpaid orders created then are cancelled together."""
    late: tuple[float, float, float] | None = None
    """(from_s, to_s, delay_s) of one producer of orders."""
    producers: int = ORDER_SOURCES
    tight_stock: bool = False
    opens_s: float | None = None
    """Opening of the promotion; None: it runs all day."""

    @classmethod
    def usual(cls, minutes: int, rng: np.random.Generator) -> Course:
        """An evening without events; the mixes wander by some 5 %."""

        def ones() -> Floats:
            return np.ones(minutes)

        clock_h = 17 + (np.arange(minutes) - PRE_S / 60) / 60
        return cls(
            minutes,
            visits=1 + 0.25 * np.cos((clock_h - 20.5) * np.pi / 5),
            idle=np.zeros((minutes, len(CHANNELS), len(CATEGORIES))),
            channel=_wandering(np.array([*CHANNELS.values()]), minutes, rng),
            region=_wandering(np.array([*REGIONS.values()]), minutes, rng),
            category=_wandering(np.array([*CATEGORIES.values()]), minutes, rng),
            cart=ones(),
            checkout=ones(),
            order=ones(),
            bots=np.zeros(minutes),
            haste=ones(),
            pay_delay_s=np.zeros(minutes),
        )


def _wandering(shares: Floats, minutes: int, rng: np.random.Generator) -> Floats:
    """Shares that shift slowly: a mean-reverting walk of each, of 5 % over 90 min."""
    logs = ornstein_uhlenbeck(minutes, 0.05, 90.0, rng, len(shares))
    mixed: Floats = shares * np.exp(logs)
    return mixed / mixed.sum(axis=1, keepdims=True)


def ornstein_uhlenbeck(minutes: int, sd: float, relax_min: float, rng: np.random.Generator, width: int = 1) -> Floats:
    """A stationary Ornstein-Uhlenbeck process by minute (Uhlenbeck and Ornstein, Physical Review 36, 1930)."""
    keep = np.exp(-1 / relax_min)
    steps = rng.standard_normal((minutes, width)) * sd * np.sqrt(1 - keep**2)
    walk = np.empty((minutes, width))
    walk[0] = rng.standard_normal(width) * sd
    for minute in range(1, minutes):
        walk[minute] = walk[minute - 1] * keep + steps[minute]
    return walk
