"""Waiting for conditions in tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], *, within_s: float = 10, every_s: float = 0.05, what: str = "") -> T:
    """The first true result of `condition`; fails the test with `what` after the time limit."""
    deadline = time.monotonic() + within_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what or condition}; last: {result!r}")
        time.sleep(every_s)
