"""Parts of a configuration: promotion, funnel, stock and disorder."""

from __future__ import annotations

from dataclasses import dataclass, fields

from consumers.errors import UsageError


class SimulationError(UsageError):
    """Invalid configuration or incident."""


def _check_shares(of: Funnel | Disorder, besides: tuple[str, ...]) -> None:
    for name in (one.name for one in fields(of) if one.name not in besides):
        if not 0 <= getattr(of, name) <= 1:
            raise SimulationError(f"{name} is {getattr(of, name)}: a share must be between 0 and 1")


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
        _check_shares(self, besides=("steps", "impressions", "comments"))


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
        _check_shares(self, besides=("late_max_s", "latency_s", "skew_ms"))
