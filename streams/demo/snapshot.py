"""What the demo shows at a moment, as the API answers it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from streams.api_client import ApiClient
from streams.kpis import Number

WINDOWS = ("1m", "5m", "15m")
TOP = 6
Values = Mapping[str, Number]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The numbers of one look. Each answer has its own as-of; the first one's is shown."""

    as_of_ms: int
    taken_ms: int
    windows: dict[str, Values]
    """# window: all numbers of scope `all`"""
    channels: list[tuple[str, Values]]
    """Over 1m, the largest first."""
    skus: list[tuple[str, Values]]
    """Over 5m, the largest first."""

    def channel(self, name: str) -> Values:
        """The numbers of one channel."""
        return dict(self.channels).get(name, {})


async def take(api: ApiClient) -> Snapshot | None:
    """Ask for all of it; None while the API does not answer."""
    windows: dict[str, Values] = {}
    as_of_ms = 0
    for window in WINDOWS:
        status, answer = await api.get("/api/v1/kpis", window=window)
        if status != 200:
            return None
        windows[window] = answer["values"]
        as_of_ms = as_of_ms or int(answer["as_of"])
    by_channel, channels = await api.get("/api/v1/kpis", window="1m", scope="channel")
    by_sku, skus = await api.get("/api/v1/top", window="5m", scope="sku", by="gmv", n=TOP)
    if by_channel != 200 or by_sku != 200:
        return None
    return Snapshot(as_of_ms, int(time.time() * 1000), windows, _items(channels), _items(skus))


def _items(answer: Mapping[str, list[dict[str, object]]]) -> list[tuple[str, Values]]:
    return [(str(item["value"]), item["values"]) for item in answer["items"]]  # type: ignore[misc]
