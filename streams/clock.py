"""The machine's clocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic as _monotonic
from time import time as _time


def now_ms() -> int:
    """The present, epoch ms."""
    return MACHINE.now_ms()


@dataclass(frozen=True, slots=True)
class MachineClock:
    """The clocks that a component reads; tests pass others. Both in seconds, `time` since the epoch."""

    time: Callable[[], float] = _time
    monotonic: Callable[[], float] = _monotonic

    def now_ms(self) -> int:
        """The present, epoch ms."""
        return int(self.time() * 1000)


MACHINE = MachineClock()
