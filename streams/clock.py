"""The machine's clock."""

from __future__ import annotations

from time import time


def now_ms() -> int:
    """The present, epoch ms."""
    return int(time() * 1000)
