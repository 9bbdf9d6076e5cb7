"""Fixtures of the store's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.streams.shop import Shop, opened


@pytest.fixture
async def shop(request: pytest.FixtureRequest) -> AsyncIterator[Shop]:
    """A shop on an empty Redis, or on a cluster if parametrized so."""
    on_cluster = getattr(request, "param", "one") == "cluster"
    url = request.getfixturevalue("cluster").url if on_cluster else request.getfixturevalue("redis_url")
    async with opened(url, redis_cluster=on_cluster) as shop:
        yield shop


ON_BOTH = pytest.mark.parametrize("shop", ["one", "cluster"], indirect=True)
"""Runs on a single Redis and on a cluster."""
