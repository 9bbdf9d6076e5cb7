"""The content of one refresh of the demo, without its layout: the API's answers, and trends and rates of past ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from streams.local.api_client import ApiClient
from streams.local.demo.sale import CHANNEL, Sale
from streams.model.formatting import NULL_TEXT, format_percent
from streams.model.kpis import Number
from streams.serve.paths import path_segment

WINDOWS = ("1m", "5m", "15m")
TOP = 6
SOON = 3
"""Number of SKUs shown that run out next."""
Values = Mapping[str, Number]


@dataclass(frozen=True, slots=True)
class DemoSnapshot:
    """Answers of one refresh. Each has its own as-of; the first one's is shown."""

    as_of_ms: int
    windows: dict[str, Values]
    """<window: values of scope `all`>"""
    channels: list[tuple[str, Values]]
    """Over 1m, the largest first."""
    skus: list[tuple[str, Values]]
    """Over 5m, the largest first."""
    promotion: Mapping[str, Any] | None = None
    """The answer of `/api/v1/promotions/{id}`."""
    ratios: Values = field(default_factory=dict)
    """Ratios to the earlier promotion at the same elapsed time."""
    stock: Mapping[str, Any] = field(default_factory=dict)
    """The answer of `/api/v1/stock`."""
    live: bool = True
    """Whether the first answer is live."""

    def channel(self, name: str) -> Values:
        """Values of one channel."""
        return dict(self.channels).get(name, {})


async def fetch_snapshot(api: ApiClient, promotion_id: str) -> DemoSnapshot | None:
    """Fetch all answers; None while the API does not answer."""
    windows: dict[str, Values] = {}
    as_of_ms, live = 0, True
    for window in WINDOWS:
        status, answer = await api.get("/api/v1/kpis", window=window)
        if status != 200:
            return None
        windows[window] = answer["values"]
        if not as_of_ms:
            as_of_ms, live = int(answer["as_of"]), bool(answer["live"])
    channels_status, channels = await api.get("/api/v1/kpis", window="1m", scope="channel")
    skus_status, skus = await api.get("/api/v1/top", window="5m", scope="sku", by="gmv", n=TOP)
    if channels_status != 200 or skus_status != 200:
        return None
    promotion_status, promotion = await api.get(f"/api/v1/promotions/{path_segment(promotion_id)}")
    ratios_status, ratios = await api.get(
        "/api/v1/compare", window="promotion", against="baseline", promotion=promotion_id
    )
    stock_status, stock = await api.get("/api/v1/stock", n=SOON)
    return DemoSnapshot(
        as_of_ms,
        windows,
        _items(channels),
        _items(skus),
        promotion if promotion_status == 200 else None,
        ratios["ratio"] or {} if ratios_status == 200 else {},
        stock if stock_status == 200 else {},
        live,
    )


def _items(answer: Mapping[str, list[dict[str, object]]]) -> list[tuple[str, Values]]:
    return [(str(item["value"]), item["values"]) for item in answer["items"]]  # type: ignore[misc]


TRENDS = ("gmv", "orders_paid", "visitors", "conversion_rate", "order_rate", "payment_rate", "aov", "refund_rate")
SELLING = "selling; Ctrl-C stops"
NOT_LIVE = "catching up, not live yet"
_RATE_OVER_S = 5
_RATES_OVER_S = 60
"""Window of the rates by channel, on the screen and in the demo's rule."""
_HISTORY = 120


@dataclass(frozen=True, slots=True)
class DemoIncident:
    """The injected incident and its effect so far."""

    begins_ms: int
    ends_ms: int
    now_ms: int
    before: Number
    """Order rate of the channel before the incident."""
    present: Number
    others: Number
    """Current order rate of the other channels."""

    @property
    def begun(self) -> bool:
        """Whether the incident has begun."""
        return self.now_ms >= self.begins_ms

    def lines(self) -> tuple[str, str]:
        """The incident, and its effect."""
        seconds = (self.ends_ms - self.begins_ms) / 1000
        if not self.begun:
            return f"incident in {(self.begins_ms - self.now_ms) / 1000:.0f} s", ""
        over = f", ended at {clock(self.ends_ms)}" if self.now_ms >= self.ends_ms else ""
        injected = (
            f"incident injected: at {clock(self.begins_ms)} channel {CHANNEL} lost 80 % of its orders "
            f"for {seconds:.0f} s{over}"
        )
        effect = (
            f"effect: order rate of {CHANNEL} {share(self.before)} before, {share(self.present)} now; "
            f"other channels {share(self.others)}"
        )
        # The alert's rule uses the last minute: show why it outlasts the incident.
        left_s = (self.ends_ms - self.now_ms) // 1000 + _RATES_OVER_S if over else 0
        return injected, effect + (f"; leaves the 1m window in {left_s} s" if left_s > 0 else "")


@dataclass(slots=True)
class History:
    """Past snapshots, for trends and rates."""

    trends: dict[str, deque[float]] = field(default_factory=lambda: {name: deque(maxlen=_HISTORY) for name in TRENDS})
    """<KPI: its values over 1m, the newest last>"""
    channel_rate: deque[float] = field(default_factory=lambda: deque(maxlen=_HISTORY))
    """Order rate over 1m of the incident's channel, the newest last."""
    _counts: deque[tuple[float, int, int]] = field(default_factory=lambda: deque(maxlen=_RATE_OVER_S + 1))
    _before: Number = None

    def see(self, snapshot: DemoSnapshot, begins_ms: int) -> None:
        """Take in a snapshot."""
        for name, values in self.trends.items():
            value = snapshot.windows["1m"].get(name)
            if value is not None:
                values.append(float(value))
        rate = snapshot.channel(CHANNEL).get("order_rate")
        if rate is not None:
            self.channel_rate.append(float(rate))
            if snapshot.as_of_ms <= begins_ms:
                self._before = rate

    def count(self, at_s: float, produced: int, counted: int) -> tuple[float, float]:
        """Recent rates (events/s) of produced and counted events."""
        self._counts.append((at_s, produced, counted))
        (first_s, *first), (last_s, *last) = self._counts[0], self._counts[-1]
        seconds = max(last_s - first_s, 0.001)
        return (last[0] - first[0]) / seconds, (last[1] - first[1]) / seconds

    def incident(self, sale: Sale, snapshot: DemoSnapshot | None, now_ms: int) -> DemoIncident:
        """The incident and its effect so far."""
        begins_ms, ends_ms = sale.incident_ms
        if snapshot is None:
            return DemoIncident(begins_ms, ends_ms, now_ms, self._before, None, None)
        others = [values for name, values in snapshot.channels if name != CHANNEL]
        created = sum(values["orders_created"] or 0 for values in others)
        checkouts = sum(values["checkouts"] or 0 for values in others)
        present = snapshot.channel(CHANNEL).get("order_rate")
        return DemoIncident(
            begins_ms, ends_ms, now_ms, self._before, present, created / checkouts if checkouts else None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoFrame:
    """One refresh."""

    phase: str
    url: str
    elapsed_s: float
    duration_s: float
    now_ms: int
    snapshot: DemoSnapshot | None
    history: History
    incident: DemoIncident | None
    produced: int = 0
    counted: int = 0
    produced_rate: float = 0
    counted_rate: float = 0
    currency: str
    currency_exponent: int

    @property
    def selling(self) -> bool:
        """Whether the sale is being sent."""
        return self.phase == SELLING

    @property
    def in_incident(self) -> bool:
        """Whether the incident is active."""
        incident = self.incident
        return incident is not None and incident.begins_ms <= self.now_ms < incident.ends_ms

    @property
    def age_s(self) -> float | None:
        """Age of the as-of."""
        return None if self.snapshot is None else max(0, self.now_ms - self.snapshot.as_of_ms) / 1000


def clock(at_ms: int) -> str:
    """A time in the local time zone."""
    return f"{datetime.fromtimestamp(at_ms / 1000):%H:%M:%S}"


def share(value: Number) -> str:
    """A ratio in whole per cent."""
    return NULL_TEXT if value is None else format_percent(value)
