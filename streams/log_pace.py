"""How often a line that could be logged several times a second is logged. Pure."""

from __future__ import annotations

AGAIN_AFTER_S = 30.0


class LogPace:
    """Of one kind of trouble, which may last for many minutes: logged at once, when it changes, and every 30 s."""

    def __init__(self) -> None:
        self._last: tuple[str, float] | None = None

    def is_due(self, text: str, now_s: float) -> bool:
        """Whether to log what is wrong now; if so, it counts as logged. `now_s`: by a monotonic clock."""
        if self._last is not None and self._last[0] == text and now_s - self._last[1] <= AGAIN_AFTER_S:
            return False
        self._last = text, now_s
        return True
