"""Child processes of the supervisor, and their events."""

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
    """Whether a third-party program needs this environment variable; any other may be a secret."""
    return name in _BASIC


@dataclass(frozen=True, kw_only=True)
class Child:
    """A process to start and keep running."""

    name: str
    argv: Sequence[str]
    log_path: Path
    """File that its standard output and error are appended to; created with its folder."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Added to the inherited variables."""
    inherits: Callable[[str], bool] = lambda _name: True
    """Filter of the supervisor's environment variables, by name."""
    ready: Probe = field(default_factory=always_ready)
    on_ready: OnReady | None = None
    """Awaited after each start, before the event READY."""
    restart: bool = True
    """False: it ends by itself, and its end is no failure (see Supervisor.ended)."""
    ready_within_s: float = 30
    grace_s: float = 10
    """Time from SIGTERM to SIGKILL."""


class ChildEventKind(StrEnum):
    """Kind of an event."""

    STARTING = "starting"
    READY = "ready"
    DIED = "died"
    """Ended unexpectedly; a restart or the supervisor's failure follows."""
    ENDED = "ended"
    """Ended by itself, as expected."""
    STOPPED = "stopped"
    """Ended on SIGTERM within its grace time."""
    KILLED = "killed"
    """Ended by SIGKILL after its grace time or ready time-out."""


@dataclass(frozen=True)
class ChildEvent:
    """Event of a child."""

    name: str
    kind: ChildEventKind
    detail: str = ""


def describe_exit(code: int) -> str:
    """Text of a return code of `subprocess`."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
