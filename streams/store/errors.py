"""Why a Redis does not do what it is asked, told in one line: what was wrong, where, what to do."""

from __future__ import annotations

from dataclasses import dataclass

from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from consumers.errors import SalepulseError
from consumers.tls import TlsFiles, tls_error_message
from streams.store.refusal_kinds import PERMISSION_REFUSALS, REFUSAL_TEXTS, RedisRefusal, refusal_of

UNREACHABLE = (RedisConnectionError, RedisTimeoutError, OSError)
"""What a Redis that is not there, or does not let us in, raises: worth trying again."""
_LOGIN = "see redis_user and redis_password or redis_password_file"


@dataclass(frozen=True, slots=True)
class RedisEndpoint:
    """Which Redis is meant, and as whom we come."""

    where: str
    """host:port."""
    user: str = ""
    """Empty: nobody in particular."""
    tls: TlsFiles | None = None
    """None: without TLS."""


class RedisUnavailableError(SalepulseError):
    """A Redis that is not there, or refuses what it will take later: worth waiting for."""

    def __init__(self, message: str, refusal: RedisRefusal | None = None) -> None:
        super().__init__(message, retriable=True)
        self.refusal = refusal
        """None: it does not answer."""


def to_user_error(error: RedisError | OSError, visit: RedisEndpoint) -> SalepulseError:
    """A client's error. `retriable`: it may pass, or is to be mended elsewhere than in our settings."""
    where, text = visit.where, str(error)
    if visit.tls is not None and (why := tls_error_message(error, visit.tls, "redis")):
        what, _, do = why.partition(": ")
        return SalepulseError(f"Redis at {where}: {what}; {do}", retriable=True)
    if isinstance(error, NoPermissionError):
        return SalepulseError(
            f"Redis at {where} does not allow {_who(visit)} this: {text.removeprefix('NOPERM ')}; give it the rights "
            "that docs/security.md lists"
        )
    if text.startswith("NOAUTH") or "Authentication required" in text:
        return SalepulseError(f"Redis at {where} lets nobody in without a password; {_LOGIN}")
    if isinstance(error, AuthenticationError) or text.startswith("WRONGPASS"):
        return SalepulseError(f"Redis at {where} refuses {_who(visit)}: the name or the password is wrong; {_LOGIN}")
    refusal = refusal_of(error)
    if refusal is not None:
        known = REFUSAL_TEXTS[refusal]
        if refusal in PERMISSION_REFUSALS:
            return SalepulseError(f"Redis at {where} {known.problem}: {text}; {known.fix}")
        return RedisUnavailableError(f"Redis at {where} {known.problem}; {known.fix}", refusal)
    if "max number of clients" in text:
        return RedisUnavailableError(
            f"Redis at {where} takes no more clients ({text}); raise its `maxclients`, or let fewer clients connect"
        )
    if isinstance(error, UNREACHABLE):
        return RedisUnavailableError(
            f"no Redis answers at {where} ({error}); start one, or name another with --redis-url{_other(text, visit)}"
        )
    return SalepulseError(f"Redis at {where} refused us: {error}")


def _other(text: str, visit: RedisEndpoint) -> str:
    """The other way of speaking, where that may be the one: a Redis without TLS waits for more of a handshake."""
    if visit.tls is None and ("closed by server" in text or "reset by peer" in text):
        return ", or write rediss:// if it speaks TLS there"
    if visit.tls is not None and "Timeout connecting" in text:
        return ", or write redis:// if it does not speak TLS there"
    return ""


def _who(visit: RedisEndpoint) -> str:
    return f"user {visit.user!r}" if visit.user else "us"
