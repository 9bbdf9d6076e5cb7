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

    A batch makes tens of thousands of objects, none of them in a cycle, so collections may be rare. glibc would keep
    freed arrays of many megabytes in each thread's own heap; with one heap for all, and the largest given back, that is
    about a third less memory. All the rest it would give back too, 128 kB at a time, and fetch anew for the next batch:
    page faults were a tenth of the CPU, so it keeps what a batch and a roll go through.
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
