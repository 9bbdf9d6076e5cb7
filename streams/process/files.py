"""Limit of open files, and so of connections."""

from __future__ import annotations

import resource

WANTED = 65_536
UNLIMITED = resource.RLIM_INFINITY


def raise_file_limit(wanted: int = WANTED) -> int:
    """Raise the soft limit to `wanted`, or as far as the hard limit allows. Returns the soft limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == UNLIMITED else min(wanted, hard)
    if soft != UNLIMITED and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return file_limit()


def file_limit() -> int:
    """Soft limit of open files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return WANTED if soft == UNLIMITED else soft


def hard_file_limit() -> int:
    """Hard limit of open files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return WANTED if hard == UNLIMITED else hard
