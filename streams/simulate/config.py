"""Configuration of a run."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, fields
from typing import Any

from consumers.errors import UsageError


class SimulationError(UsageError):
    """Invalid configuration or incident."""


def _check_shares(shares: Funnel | Disorder, exempt: tuple[str, ...]) -> None:
    for name in (share_field.name for share_field in fields(shares) if share_field.name not in exempt):
        if not 0 <= getattr(shares, name) <= 1:
            raise SimulationError(f"{name} is {getattr(shares, name)}: a share must be between 0 and 1")


@dataclass(frozen=True, slots=True)
class SimulatedPhase:
    """A phase in fractions of the run. Traffic is `level` plus a decaying surge at the start."""

    name: str
    begins: float
    ends: float
    level: float = 1.0
    surge: float = 1.0
    """Traffic at the start over `level`; decays exponentially (`PromotionPlan.surge_decay_s`)."""


@dataclass(frozen=True, slots=True)
class PromotionPlan:
    """The promotion: its message on `promotions` and its effect on traffic."""

    promotion_id: str = "sale-1"
    name: str = "Simulated sale"
    phases: tuple[SimulatedPhase, ...] = (
        SimulatedPhase("presale", 0.10, 0.20),
        SimulatedPhase("opening", 0.20, 0.32, 1.2, 6.0),
        SimulatedPhase("burst", 0.32, 0.85, 1.2),
        SimulatedPhase("encore", 0.85, 0.95, 1.4, 2.0),
    )
    surge_decay_s: float = 1200.0
    """Time constant of the surge; at most a tenth of the run."""
    share: float = 0.7
    """Share of sessions during the promotion that carry its id."""
    skus: int = 200
    sku_boost: float = 4.0
    """Factor on views of promoted products during the promotion."""
    targets: tuple[int, int, int] | None = None
    """base, sprint, challenge: net GMV in minor units; None: 80, 100 and 120 % of the expected."""
    baseline: str | None = None
    """`promotion_id` of the baseline."""

    def __post_init__(self) -> None:
        if not self.phases:
            raise SimulationError("the promotion has no phases: at least one is needed")
        edges = [(phase.name, phase.begins, phase.ends) for phase in self.phases]
        if bad := [name for name, begins, ends in edges if not 0 <= begins < ends]:
            raise SimulationError(f"phase {bad[0]!r}: 0 <= begins < ends must hold (fractions of the run)")
        if edges != sorted(edges, key=lambda edge: edge[1]):
            raise SimulationError("the promotion's phases must be in order of time")
        if not 0 <= self.share <= 1:
            raise SimulationError(f"the promotion's share is {self.share}: it must be between 0 and 1")


@dataclass(frozen=True, slots=True)
class Funnel:
    """True probabilities of the funnel, constant except for incidents and sold-out products."""

    steps: float = 6.0
    """Mean page views, searches and product views per session (1 + negative binomial)."""
    page_share: float = 0.15
    search_share: float = 0.17
    cart: float = 0.10
    """Of product views."""
    favorite: float = 0.04
    """Of product views."""
    checkout: float = 0.50
    """Of sessions with a cart."""
    order: float = 0.80
    """Of checkouts."""
    impressions: float = 2.0
    """Mean ads not clicked, per session without campaign."""
    campaign: float = 0.10
    """Share of sessions that start with an ad click."""
    comments: float = 0.8
    """Mean comments per live session."""
    substitute: float = 0.8
    """Of sold-out cart lines: replaced by another product."""
    pay_attempt: float = 0.95
    """Of created orders: a payment is attempted."""
    payment: float = 0.93
    """Of attempts: successful."""
    retry: float = 0.75
    """Of failed attempts: another follows, three in all."""
    call_off: float = 0.012
    """Of paid orders: cancelled and refunded before dispatch."""
    partial_refund: float = 0.01
    """Of paid orders: partially refunded."""
    line_cancelled: float = 0.02
    """Of paid orders with several lines: the last line is cancelled and refunded."""
    delayed: float = 0.04
    """Of shipments."""
    returned: float = 0.03
    """Of deliveries."""
    known_buyers: float = 0.75
    """Share of users with an order before the run."""
    coupon: float = 0.4
    """Share of promotion orders with a discount of 5 to 15 %."""

    def __post_init__(self) -> None:
        if self.steps <= 1 or self.impressions < 0 or self.comments < 0:
            raise SimulationError("steps must be > 1, impressions and comments >= 0")
        _check_shares(self, exempt=("steps", "impressions", "comments"))


@dataclass(frozen=True, slots=True)
class StockPlan:
    """Stock of the products."""

    cover: float = 3.0
    """Median ratio of stock to expected units (lognormal, sigma 0.6)."""
    short: int = 5
    """Number of best-sellers, from the sixth on, with stock for 25 to 60 % of the expected units."""
    receipts: float = 0.3
    """Per product and simulated day."""
    adjustments: float = 0.1
    """Per product and simulated day."""
    recounts: float = 0.02
    """Per product and simulated day."""


@dataclass(frozen=True, slots=True)
class Disorder:
    """Lateness, duplicates and clock skew."""

    repeat_share: float = 0.005
    late_share: float = 0.01
    late_max_s: float = 180.0
    """Maximum lateness; at most a quarter of the run."""
    latency_s: float = 0.12
    """Median latency of other events (lognormal, sigma 0.8, at most 3 s)."""
    skew_ms: int = 40
    """Maximum constant clock error of a producer."""

    def __post_init__(self) -> None:
        if min(self.late_max_s, self.latency_s, self.skew_ms) < 0:
            raise SimulationError("late_max_s, latency_s and skew_ms must not be negative")
        _check_shares(self, exempt=("late_max_s", "latency_s", "skew_ms"))


DAY_MS = 86_400_000
COMPRESS_BELOW_S = 6 * 3600.0
SHIP_DAYS = 6.0
"""Days of shipping in a compressed run: enough for delivery, delay and return of a parcel."""

DIGITAL = ("phones", "computers", "appliances", "watches", "toys", "books", "baby")
FASHION = ("womenswear", "menswear", "shoes", "bags", "beauty", "sports")
DAILY = ("food", "fresh", "home", "furniture", "pets", "health", "garden")

LABELS_MAX = 250
"""Maximum number of labels of a dimension: codes are bytes."""
_LABEL = re.compile(r'[^"\\\x00-\x1f]{1,128}')

Mix = tuple[tuple[str, float], ...]
"""(label, weight); weights need not sum to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationConfig:
    """A run. Equal configurations give equal bytes (with the same numpy)."""

    seed: int = 1
    catalog_seed: int | None = None
    """Seed of products and prices; None: `seed`. Runs of one shop share it."""
    rate: float = 1000.0
    """Mean events per second, without opening stock levels and incidents."""
    duration_s: float = 600.0
    start_ms: int = 1_762_776_000_000
    users: int = 1_000_000
    skus: int = 100_000
    timezone: str = "Asia/Shanghai"
    compress: bool | None = None
    """Compress a whole day, 15:12 to 15:12, into the run; None: if the run is shorter than 6 h."""
    categories: tuple[str, ...] = (*DIGITAL, *FASHION, *DAILY)
    channels: Mix = (("app", 0.5), ("web", 0.18), ("mini", 0.2), ("live", 0.12))
    """Sessions of the channel `live` are in live rooms."""
    regions: Mix = (("east", 0.34), ("south", 0.24), ("north", 0.18), ("central", 0.14), ("west", 0.10))
    variants: Mix = (("control", 0.5), ("treatment", 0.5))
    campaigns: tuple[str, ...] = ("search-ads", "social-video", "influencers", "push", "affiliates")
    live_rooms: tuple[str, ...] = ("room-1", "room-2", "room-3", "room-4", "room-5", "room-6")
    warehouses: tuple[str, ...] = ("wh-east", "wh-south", "wh-north")
    carriers: tuple[str, ...] = ("sf", "yto", "jd")
    member_share: float = 0.3
    producers: int = 4
    """Producers of clicks (collector-0…) and of orders (oms-0…); logistics has one per warehouse (wms-0…)."""
    dispersion: float = 40.0
    """Shape of the Gamma noise on traffic: larger is closer to Poisson."""
    promotion: PromotionPlan | None = field(default_factory=PromotionPlan)
    funnel: Funnel = field(default_factory=Funnel)
    stock: StockPlan = field(default_factory=StockPlan)
    disorder: Disorder = field(default_factory=Disorder)
    incidents: tuple[str, ...] = ()
    """Incident specs, see `incidents.parse`."""

    @classmethod
    def sized(cls, *, rate: float, duration_s: float, **others: Any) -> SimulationConfig:
        """A shop sized to the volume: a SKU per 60 events (50 to 100,000), a user per 3 (500 to 1,000,000)."""
        events = rate * duration_s
        sizes = {"skus": min(100_000, max(50, int(events / 60))), "users": min(1_000_000, max(500, int(events / 3)))}
        return cls(rate=rate, duration_s=duration_s, **{**sizes, **others})

    def __post_init__(self) -> None:
        for name in ("rate", "duration_s", "dispersion"):
            number = getattr(self, name)
            if not (math.isfinite(number) and number > 0):
                raise SimulationError(f"{name} is {number}: it must be a positive number")
        for name in ("users", "skus", "producers"):
            if getattr(self, name) < 1:
                raise SimulationError(f"{name} is {getattr(self, name)}: at least 1 is needed")
        if self.seed < 0 or self.start_ms < 0:
            raise SimulationError("seed and start_ms must not be negative")
        if self.duration_ms < 1000:
            raise SimulationError(f"duration_s is {self.duration_s}: at least 1 second is needed")
        if self.producers > LABELS_MAX:
            raise SimulationError(f"producers is {self.producers}: at most {LABELS_MAX} are possible")
        self._check_labels()

    def _check_labels(self) -> None:
        """Check labels: they are written to JSON unescaped, and their codes are bytes."""
        mixes = {name: [label for label, _ in getattr(self, name)] for name in ("channels", "regions", "variants")}
        names = ("categories", "campaigns", "live_rooms", "warehouses", "carriers")
        for name, labels in {**mixes, **{name: list(getattr(self, name)) for name in names}}.items():
            if not 1 <= len(labels) <= LABELS_MAX or len(set(labels)) < len(labels):
                raise SimulationError(f"{name} has {len(labels)} labels: 1 to {LABELS_MAX} different ones are needed")
            if bad := [label for label in labels if not _LABEL.fullmatch(label)]:
                raise SimulationError(f"{name} has {bad[0]!r}: labels are 1 to 128 characters, no quotes or controls")
        if self.promotion and not _LABEL.fullmatch(self.promotion.promotion_id):
            raise SimulationError(f"promotion_id is {self.promotion.promotion_id!r}: it must be a label as any other")

    @property
    def duration_ms(self) -> int:
        """Length of the run."""
        return round(self.duration_s * 1000)

    @property
    def end_ms(self) -> int:
        """End of the run `[start_ms, end_ms)`, in event time and in arrival time."""
        return self.start_ms + self.duration_ms

    @property
    def compressed(self) -> bool:
        """Whether the run plays a whole day."""
        return self.duration_s < COMPRESS_BELOW_S if self.compress is None else self.compress

    @property
    def day_speed(self) -> float:
        """Speed-up of the day, cancellations and receipts: 1, or one day per compressed run."""
        return DAY_MS / self.duration_ms if self.compressed else 1.0

    @property
    def ship_speed(self) -> float:
        """Speed-up of shipping and returns: 1, or six days per compressed run."""
        return self.day_speed * SHIP_DAYS if self.compressed else 1.0

    @property
    def shop_speed(self) -> float:
        """Speed-up of clicks and payments: 1, or 3,600 s / duration (1 to 20) in a compressed run."""
        return min(20.0, max(1.0, 3600.0 / self.duration_s)) if self.compressed else 1.0

    @property
    def warm_up_ms(self) -> int:
        """Sessions start this long before the run, so that its first second is typical."""
        return round(300_000 / self.shop_speed)

    def at(self, fraction: float) -> int:
        """Time (epoch ms) of a fraction of the run."""
        return self.start_ms + round(fraction * self.duration_ms)
