"""The kinds of refusal of a reachable Redis, by the code of its error reply. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RedisRefusal(StrEnum):
    """Refusals due to the server rather than the command; also a metric label."""

    OOM = "oom"
    """`maxmemory` is reached and eviction is off."""
    NOREPLICAS = "noreplicas"
    """Fewer replicas than `min-replicas-to-write` are connected."""
    MISCONF = "misconf"
    """The append-only file or a snapshot could not be written."""
    READONLY = "readonly"
    """The server is a replica."""
    MASTERDOWN = "masterdown"
    """The server is a replica without its primary and may not serve stale data."""
    LOADING = "loading"
    """The server is loading its data."""
    BUSY = "busy"
    """A script has been running for too long."""
    CLUSTERDOWN = "clusterdown"
    """Some slots of the cluster have no node."""
    TRYAGAIN = "tryagain"
    """The keys are being migrated to another node."""
    NOPERM = "noperm"
    """The user lacks a permission."""
    LOGIN = "login"
    """User name or password are wrong or missing."""


@dataclass(frozen=True, slots=True)
class RefusalText:
    """Description of a refusal."""

    problem: str
    """Follows the server's address."""
    fix: str


_RIGHTS = "grant the permissions listed in docs/security.md"
_LOGIN = "see redis_user and redis_password or redis_password_file"
REFUSAL_TEXTS: dict[RedisRefusal, RefusalText] = {
    RedisRefusal.OOM: RefusalText(
        "is out of memory and refuses writes",
        "raise maxmemory, or shorten retention (keep_seconds_h, keep_minutes_d, keep_hours_d)",
    ),
    RedisRefusal.NOREPLICAS: RefusalText(
        "has too few replicas and refuses writes", "restore its replicas, or lower min-replicas-to-write"
    ),
    RedisRefusal.MISCONF: RefusalText(
        "cannot write to its disk and refuses writes", "see its log, and free disk space if it is full"
    ),
    RedisRefusal.READONLY: RefusalText(
        "is a replica and refuses writes", "point redis_url at the primary, or promote this one"
    ),
    RedisRefusal.MASTERDOWN: RefusalText(
        "is a replica without its primary and refuses commands", "restore the primary, or promote this one"
    ),
    RedisRefusal.LOADING: RefusalText("is still loading its data and refuses commands", "wait until it has loaded"),
    RedisRefusal.BUSY: RefusalText(
        "is busy with a long script and refuses commands", "wait; if it persists, run SCRIPT KILL"
    ),
    RedisRefusal.CLUSTERDOWN: RefusalText(
        "belongs to a cluster that is down and refuses commands",
        "restore its nodes; `redis-cli --cluster check` lists what is missing",
    ),
    RedisRefusal.TRYAGAIN: RefusalText(
        "is migrating these keys to another node and refuses commands on them", "wait until the slot has migrated"
    ),
    RedisRefusal.NOPERM: RefusalText("denies a permission that counting needs", _RIGHTS),
    RedisRefusal.LOGIN: RefusalText("rejects the login", _LOGIN),
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
"""After these refusals another server may have taken over the address: a new connection may reach it.

The command was not executed, nor any part of a script: Redis checks before a script's first write only.
"""
PERMISSION_REFUSALS = frozenset({RedisRefusal.NOPERM, RedisRefusal.LOGIN})
"""Refusals that do not pass by themselves: our settings or the server's users are wrong."""


def refusal_of(error: BaseException) -> RedisRefusal | None:
    """The kind of refusal of a client error; None for other errors and timeouts.

    >>> refusal_of(Exception("MISCONF Redis is configured to save RDB snapshots")), refusal_of(Exception("ERR syntax"))
    (<RedisRefusal.MISCONF: 'misconf'>, None)
    """
    text = str(error)
    code = getattr(error, "status_code", None) or text.partition(" ")[0]
    if "Authentication required" in text or "invalid password" in text or "invalid username-password" in text:
        return RedisRefusal.LOGIN
    if "The user executing the script can't" in text:  # Redis 7.0 has no code for it
        return RedisRefusal.NOPERM
    return _CODES.get(code)
