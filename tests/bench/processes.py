"""CPU and memory of processes, from the operating system's own accounts."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Usage:
    """What some processes and all that they started used."""

    cpu_s: float
    peak_rss_mb: float


class Watch:
    """Samples process trees in a thread; the dead keep their last reading."""

    def __init__(self, pids: Sequence[int], every_s: float = 0.1) -> None:
        self._roots = [psutil.Process(pid) for pid in pids]
        self._every_s = every_s
        self._cpu: dict[int, float] = {}
        self._peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._sample()
        self._begin = dict(self._cpu)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._sample()

    @property
    def usage(self) -> Usage:
        """What was used since the watch began; the peak is of the sum over all processes."""
        cpu = sum(used - self._begin.get(pid, 0.0) for pid, used in self._cpu.items())
        return Usage(cpu, self._peak / 2**20)

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self._sample()

    def _sample(self) -> None:
        rss = 0
        for root in self._roots:
            with contextlib.suppress(psutil.NoSuchProcess):
                for process in (root, *root.children(recursive=True)):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        times = process.cpu_times()
                        self._cpu[process.pid] = times.user + times.system
                        rss += process.memory_info().rss
        self._peak = max(self._peak, rss)
