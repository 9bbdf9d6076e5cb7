"""Fixtures of the ingest tests."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Run tests marked `anyio` on asyncio."""
    return "asyncio"
