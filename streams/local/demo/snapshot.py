"""The API's answers that one frame of the demo shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streams.local.api_client import ApiClient
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
    by_channel, channels = await api.get("/api/v1/kpis", window="1m", scope="channel")
    by_sku, skus = await api.get("/api/v1/top", window="5m", scope="sku", by="gmv", n=TOP)
    if by_channel != 200 or by_sku != 200:
        return None
    known, promotion = await api.get(f"/api/v1/promotions/{path_segment(promotion_id)}")
    compared, ratios = await api.get("/api/v1/compare", window="promotion", against="baseline", promotion=promotion_id)
    counted, stock = await api.get("/api/v1/stock", n=SOON)
    return DemoSnapshot(
        as_of_ms,
        windows,
        _items(channels),
        _items(skus),
        promotion if known == 200 else None,
        ratios["ratio"] or {} if compared == 200 else {},
        stock if counted == 200 else {},
        live,
    )


def _items(answer: Mapping[str, list[dict[str, object]]]) -> list[tuple[str, Values]]:
    return [(str(item["value"]), item["values"]) for item in answer["items"]]  # type: ignore[misc]
