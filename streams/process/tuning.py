"""Tunes the memory, the threads and the limit of open files of a process."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -2, -3, -8
WANTED_FILES = 65_536
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


def raise_file_limit() -> int:
    """Raise the soft limit of open files as far as wanted and the hard limit allow. Returns the soft limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED_FILES if hard == resource.RLIM_INFINITY else min(WANTED_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return file_limit()


def file_limit() -> int:
    """Soft limit of open files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return WANTED_FILES if soft == resource.RLIM_INFINITY else soft


def hard_file_limit() -> int:
    """Hard limit of open files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return WANTED_FILES if hard == resource.RLIM_INFINITY else hard
