"""What the formats share: values of a shop, and exact conversions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from typing import Any, NamedTuple

from consumers.topics import SourceTopic

START_MS = 1_794_355_200_000
"""2026-11-11T00:00Z."""
DAY_MS = 86_400_000
CURRENCY = "EUR"
SKUS = tuple((f"sku-{number}", f"category-{number % 5}", 295 + 370 * number) for number in range(30))

Json = dict[str, Any]


class Original(NamedTuple):
    """A message as the shop's program makes it."""

    topic: SourceTopic
    key: str
    content: Json
    headers: Mapping[str, str] = {}


def moment(rng: Random) -> int:
    return START_MS + rng.randrange(2 * DAY_MS)


def iso(at_ms: int, hours: int = 0, *, digits: str = "seconds") -> str:
    at = datetime.fromtimestamp(at_ms // 1000, UTC) + timedelta(milliseconds=at_ms % 1000)
    return at.astimezone(timezone(timedelta(hours=hours))).isoformat(timespec=digits)


def ms(text: str) -> int:
    """Epoch ms of an ISO time, in UTC unless it has an offset."""
    at = datetime.fromisoformat(text)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def cents(amount: Any) -> int | None:
    """Minor units of an amount in major units, rounded half up."""
    return None if amount is None else int((Decimal(str(amount)) * 100).quantize(Decimal(1), ROUND_HALF_UP))


def as_text(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def lines(rng: Random) -> list[tuple[str, str, int, int]]:
    """Lines of an order: SKU, category, quantity, price in minor units."""
    return [(*rng.choice(SKUS)[:2], rng.randint(1, 4), rng.choice(SKUS)[2]) for _ in range(rng.randint(1, 4))]


def region(rng: Random) -> str:
    return rng.choice(("BE", "HH", "Baden-Württemberg", "SN"))
