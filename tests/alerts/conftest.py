"""Fixtures of alerts' tests."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests, marked `anyio`, run on asyncio."""
    return "asyncio"
