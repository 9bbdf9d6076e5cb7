"""Rate limit for log lines that may be due several times a second. Pure."""

from __future__ import annotations

AGAIN_AFTER_S = 30.0
"""Time after which an unchanged problem is logged again."""


class LogPace:
    """Logs one kind of problem at once, on every change, and every 30 s."""

    def __init__(self) -> None:
        self._last: tuple[str, float] | None = None

    def is_due(self, text: str, now_s: float) -> bool:
        """Whether to log a problem now; if so, it counts as logged. `now_s`: monotonic."""
        if self._last is not None and self._last[0] == text and now_s - self._last[1] <= AGAIN_AFTER_S:
            return False
        self._last = text, now_s
        return True
