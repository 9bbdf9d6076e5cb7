"""The parts of a configuration: promotion, funnel, stock and disorder, with every unit and default."""

from __future__ import annotations

from dataclasses import dataclass, fields

from consumers.errors import UsageError


class SimulationError(UsageError):
    """A configuration or an incident that cannot be simulated; the message says what to change."""


def _check_shares(of: Funnel | Disorder, besides: tuple[str, ...]) -> None:
    for name in (one.name for one in fields(of) if one.name not in besides):
        if not 0 <= getattr(of, name) <= 1:
            raise SimulationError(f"{name} is {getattr(of, name)}: a share must be between 0 and 1")


@dataclass(frozen=True, slots=True)
class SimulatedPhase:
    """A part of the promotion, in fractions of the run. Traffic is `level` plus a start surge that decays."""

    name: str
    begins: float
    ends: float
    level: float = 1.0
    surge: float = 1.0
    """Traffic at the phase's first moment over `level`; decays exponentially (`PromotionPlan.surge_decay_s`)."""


@dataclass(frozen=True, slots=True)
class PromotionPlan:
    """The promotion that is announced on `promotions` and that shapes the traffic."""

    promotion_id: str = "sale-1"
    name: str = "Simulated sale"
    phases: tuple[SimulatedPhase, ...] = (
        SimulatedPhase("presale", 0.10, 0.20),
        SimulatedPhase("opening", 0.20, 0.32, 1.2, 6.0),
        SimulatedPhase("burst", 0.32, 0.85, 1.2),
        SimulatedPhase("encore", 0.85, 0.95, 1.4, 2.0),
    )
    surge_decay_s: float = 1200.0
    """Time constant of a phase's start surge; never more than a tenth of the run."""
    share: float = 0.7
    """Share of the sessions begun during the promotion that carry its id."""
    skus: int = 200
    sku_boost: float = 4.0
    """How much more often a product on promotion is looked at while the promotion runs."""
    targets: tuple[int, int, int] | None = None
    """base, sprint, challenge: net GMV in minor units; None: 80, 100 and 120 % of what is expected."""
    baseline: str | None = None
    """An earlier `promotion_id` to compare with."""

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
    """True probabilities of the way to the order: constant, but for incidents and sold-out products."""

    steps: float = 6.0
    """Mean page views, searches and product views a session (1 + negative binomial)."""
    page_share: float = 0.15
    search_share: float = 0.17
    cart: float = 0.10
    """Of product views."""
    favorite: float = 0.04
    """Of product views."""
    checkout: float = 0.50
    """Of sessions with something in the cart."""
    order: float = 0.80
    """Of checkouts."""
    impressions: float = 2.0
    """Mean ads seen and not clicked, a session without campaign."""
    campaign: float = 0.10
    """Share of sessions that begin with a click on an ad."""
    comments: float = 0.8
    """Mean comments a live session."""
    substitute: float = 0.8
    """Of cart lines that turn out to be sold out: another product is taken instead."""
    pay_attempt: float = 0.95
    """Of orders created: somebody tries to pay."""
    payment: float = 0.93
    """Of attempts: succeed."""
    retry: float = 0.75
    """Of failed attempts: another one, three in all."""
    call_off: float = 0.012
    """Of paid orders: cancelled and refunded before they are dispatched."""
    partial_refund: float = 0.01
    """Of paid orders: some of the money goes back."""
    line_cancelled: float = 0.02
    """Of paid orders of several lines: the last line is cancelled and its money goes back; the rest is shipped."""
    delayed: float = 0.04
    """Of shipments."""
    returned: float = 0.03
    """Of deliveries."""
    known_buyers: float = 0.75
    """Share of users who have bought before the run."""
    coupon: float = 0.4
    """Share of promotion orders with a discount of 5 to 15 %."""

    def __post_init__(self) -> None:
        if self.steps <= 1 or self.impressions < 0 or self.comments < 0:
            raise SimulationError("steps must be > 1, impressions and comments >= 0")
        _check_shares(self, besides=("steps", "impressions", "comments"))


@dataclass(frozen=True, slots=True)
class StockPlan:
    """How much there is of each product."""

    cover: float = 3.0
    """Median of stock over the run's expected units (lognormal, sigma 0.6)."""
    short: int = 5
    """So many best-sellers, from the sixth on, have stock for 25 to 60 % of the expected units: they run out."""
    receipts: float = 0.3
    """A product and (simulated) day."""
    adjustments: float = 0.1
    """A product and day."""
    recounts: float = 0.02
    """A product and day."""


@dataclass(frozen=True, slots=True)
class Disorder:
    """How events reach Kafka: late, twice, from clocks that are off."""

    repeat_share: float = 0.005
    late_share: float = 0.01
    late_max_s: float = 180.0
    """The latest an event may be; never more than a quarter of the run."""
    latency_s: float = 0.12
    """Median of all others (lognormal, sigma 0.8, at most 3 s)."""
    skew_ms: int = 40
    """Each producer's clock is off by a constant within this."""

    def __post_init__(self) -> None:
        if min(self.late_max_s, self.latency_s, self.skew_ms) < 0:
            raise SimulationError("late_max_s, latency_s and skew_ms must not be negative")
        _check_shares(self, besides=("late_max_s", "latency_s", "skew_ms"))
