"""The ways in which a Redis that is reachable refuses a command, by the code that its error reply begins with. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RedisRefusal(StrEnum):
    """The closed set of refusals that are about the server and not about the command; also a metric's label."""

    OOM = "oom"
    """`maxmemory` is reached, and nothing may be evicted."""
    NOREPLICAS = "noreplicas"
    """Fewer replicas than `min-replicas-to-write` are in reach."""
    MISCONF = "misconf"
    """The append-only file or a snapshot could not be written."""
    READONLY = "readonly"
    """It is a replica."""
    MASTERDOWN = "masterdown"
    """It is a replica without its primary, and may not serve old data."""
    LOADING = "loading"
    """It has started and is reading its data."""
    BUSY = "busy"
    """A script has been running for too long."""
    CLUSTERDOWN = "clusterdown"
    """Some slots of the cluster have no node."""
    TRYAGAIN = "tryagain"
    """The keys are being moved from one node to another."""
    NOPERM = "noperm"
    """Our user lacks a right."""
    LOGIN = "login"
    """Our name or password is wrong, or it asks for one."""


@dataclass(frozen=True, slots=True)
class RefusalText:
    """A refusal for people."""

    problem: str
    """Follows the server's address."""
    fix: str


_RIGHTS = "give its user the rights that docs/security.md lists"
_LOGIN = "see redis_user and redis_password or redis_password_file"
REFUSAL_TEXTS: dict[RedisRefusal, RefusalText] = {
    RedisRefusal.OOM: RefusalText(
        "is out of memory and refuses writes",
        "raise maxmemory, or keep panes for less time (keep_seconds_h, keep_minutes_d, keep_hours_d)",
    ),
    RedisRefusal.NOREPLICAS: RefusalText(
        "has too few replicas in reach and refuses writes", "bring its replicas back, or lower min-replicas-to-write"
    ),
    RedisRefusal.MISCONF: RefusalText(
        "cannot write to its disk and refuses writes", "see its log, and free its disk if that is full"
    ),
    RedisRefusal.READONLY: RefusalText(
        "is a replica and refuses writes", "let redis_url lead to the primary, or promote this one"
    ),
    RedisRefusal.MASTERDOWN: RefusalText(
        "is a replica without its primary and refuses commands", "bring the primary back, or promote this one"
    ),
    RedisRefusal.LOADING: RefusalText("is still loading its data and refuses commands", "wait until it has loaded"),
    RedisRefusal.BUSY: RefusalText(
        "is busy with a long script and refuses commands", "wait; if it lasts, run SCRIPT KILL"
    ),
    RedisRefusal.CLUSTERDOWN: RefusalText(
        "belongs to a cluster that is down and refuses commands",
        "bring its nodes back; `redis-cli --cluster check` names what is missing",
    ),
    RedisRefusal.TRYAGAIN: RefusalText(
        "is moving these keys to another node and refuses commands about them", "wait until the slot has moved"
    ),
    RedisRefusal.NOPERM: RefusalText("does not allow us all that counting needs", _RIGHTS),
    RedisRefusal.LOGIN: RefusalText("refuses our login", _LOGIN),
}

_CODES = {
    **{code.upper(): code for code in RedisRefusal if code is not RedisRefusal.LOGIN},
    "WRONGPASS": RedisRefusal.LOGIN,
    "NOAUTH": RedisRefusal.LOGIN,
}
RECONNECT_REFUSALS = frozenset(
    {
        RedisRefusal.OOM,
        RedisRefusal.NOREPLICAS,
        RedisRefusal.MISCONF,
        RedisRefusal.READONLY,
        RedisRefusal.MASTERDOWN,
        RedisRefusal.LOADING,
        RedisRefusal.CLUSTERDOWN,
    }
)
"""After these another server may be behind the same address by now: a new connection may lead to it.

The command was not executed, nor any part of a script: Redis checks before a script's first write, and not later.
"""
PERMISSION_REFUSALS = frozenset({RedisRefusal.NOPERM, RedisRefusal.LOGIN})
"""These do not pass by themselves, and are a fault of our settings or of the server's users."""


def refusal_of(error: BaseException) -> RedisRefusal | None:
    """Which refusal a client's error is; None: another error, or no answer at all.

    >>> refusal_of(Exception("MISCONF Redis is configured to save RDB snapshots")), refusal_of(Exception("ERR syntax"))
    (<RedisRefusal.MISCONF: 'misconf'>, None)
    """
    text = str(error)
    code = getattr(error, "status_code", None) or text.partition(" ")[0]
    if "Authentication required" in text or "invalid password" in text or "invalid username-password" in text:
        return RedisRefusal.LOGIN
    if "The user executing the script can't" in text:  # Redis 7.0 gives it no code of its own
        return RedisRefusal.NOPERM
    return _CODES.get(code)
