"""What these tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from streams.settings import Settings
from tests.streams.serve.shop import shop_settings
from tests.streams.shop import Shop, opened


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests, marked `anyio`, run on asyncio."""
    return "asyncio"


@pytest.fixture
async def shop(redis_url: str) -> AsyncIterator[Shop]:
    """A shop on an empty Redis."""
    async with opened(redis_url) as shop:
        yield shop


@pytest.fixture
def settings(redis_url: str) -> Settings:
    return shop_settings(redis_url)
