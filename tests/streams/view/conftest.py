"""Fixtures of these tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.streams.serve.conftest import api as api
from tests.streams.serve.conftest import open_shop as open_shop
from tests.streams.serve.conftest import settings as settings
from tests.streams.shop import Shop, opened


@pytest.fixture
async def shop(redis_url: str) -> AsyncIterator[Shop]:
    """A shop on an empty Redis."""
    async with opened(redis_url) as shop:
        yield shop
