"""Tunes the memory and the threads of a process."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -2, -3, -8
_SWITCH_S = 0.0005
"""How long a thread may hold the interpreter while others wait."""


def tune_threads() -> None:
    """Switch threads more often, for processes that serve requests beside the view's thread."""
    sys.setswitchinterval(_SWITCH_S)


def tune_memory() -> None:
    """Tune the garbage collector and the allocator for batches of many short-lived objects, after all imports.

    A batch allocates tens of thousands of objects without cycles, so collections can be rare. One arena for all threads
    and returning the largest blocks takes a third less memory. Keeping the memory of a batch and a compaction saves
    page faults, which took a tenth of the CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 10, 10)
    with contextlib.suppress(OSError, AttributeError):  # another C library: nothing to tune
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 16 << 20)
        libc.mallopt(_M_TRIM_THRESHOLD, 64 << 20)
        libc.mallopt(_M_TOP_PAD, 16 << 20)
        libc.mallopt(_M_ARENA_MAX, 1)
