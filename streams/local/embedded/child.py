"""One child process as the supervisor is asked for it, and what it tells about its children."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from streams.local.embedded.probes import Probe, always_ready

OnReady = Callable[[], Awaitable[None]]

_BASIC = frozenset({"HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "SYSTEMROOT", "TMPDIR", "TZ", "USER"})


def is_basic(name: str) -> bool:
    """Whether a program of others needs this variable of ours; anything else may be a secret."""
    return name in _BASIC


@dataclass(frozen=True, kw_only=True)
class Child:
    """A process to start, and to keep."""

    name: str
    argv: Sequence[str]
    log_path: Path
    """Takes its standard output and error; made, with its folder, when it is not there, else appended to."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Added to what it inherits."""
    inherits: Callable[[str], bool] = lambda _name: True
    """Which variables of the supervisor's own environment it inherits, by name."""
    ready: Probe = field(default_factory=always_ready)
    on_ready: OnReady | None = None
    """Awaited each time it has become ready, after restarts too, before that is announced."""
    restart: bool = True
    """False: it is meant to end by itself, and its end is no failure (see Supervisor.ended)."""
    ready_within_s: float = 30
    grace_s: float = 10
    """From SIGTERM to SIGKILL."""


class ChildEventKind(StrEnum):
    """What happened to a child."""

    STARTING = "starting"
    READY = "ready"
    DIED = "died"
    """Without being asked to; a restart or the supervisor's failure follows."""
    ENDED = "ended"
    """By itself, as was expected of it."""
    STOPPED = "stopped"
    """Within its grace, on SIGTERM."""
    KILLED = "killed"
    """By SIGKILL, as it outstayed its grace or its time to become ready."""


@dataclass(frozen=True)
class ChildEvent:
    """Something that happened to a child, for people to read."""

    name: str
    kind: ChildEventKind
    detail: str = ""


def describe_exit(code: int) -> str:
    """The meaning of a return code as `subprocess` gives it."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
