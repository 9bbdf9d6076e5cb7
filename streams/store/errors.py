"""Converts Redis errors to one-line messages: the problem, where, and the fix."""

from __future__ import annotations

from dataclasses import dataclass

from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from consumers.errors import SalepulseError
from consumers.tls import TlsFiles, tls_error_message
from streams.store.refusal_kinds import PERMISSION_REFUSALS, REFUSAL_TEXTS, RedisRefusal, refusal_of

UNREACHABLE = (RedisConnectionError, RedisTimeoutError, OSError)
"""Errors of a Redis that is unavailable or denies access; retriable."""
_LOGIN = "see redis_user and redis_password or redis_password_file"


@dataclass(frozen=True, slots=True)
class RedisEndpoint:
    """Address and user of a connection."""

    where: str
    """host:port."""
    user: str = ""
    """Empty: the default user."""
    tls: TlsFiles | None = None
    """None: without TLS."""


class RedisUnavailableError(SalepulseError):
    """Redis is unavailable, or refuses a command that it will accept later."""

    def __init__(self, message: str, refusal: RedisRefusal | None = None) -> None:
        super().__init__(message, retriable=True)
        self.refusal = refusal
        """None: it does not answer."""


def to_user_error(error: RedisError | OSError, endpoint: RedisEndpoint) -> SalepulseError:
    """Convert a client error. `retriable` if it may pass or must be fixed outside our settings."""
    where, text = endpoint.where, str(error)
    if endpoint.tls is not None and (why := tls_error_message(error, endpoint.tls, "redis")):
        problem, _, fix = why.partition(": ")
        return SalepulseError(f"Redis at {where}: {problem}; {fix}", retriable=True)
    if isinstance(error, NoPermissionError):
        return SalepulseError(
            f"Redis at {where} does not allow {_who(endpoint)} this: {text.removeprefix('NOPERM ')}; grant the "
            "permissions listed in docs/security.md"
        )
    if text.startswith("NOAUTH") or "Authentication required" in text:
        return SalepulseError(f"Redis at {where} requires a password; {_LOGIN}")
    if isinstance(error, AuthenticationError) or text.startswith("WRONGPASS"):
        return SalepulseError(f"Redis at {where} rejects {_who(endpoint)}: wrong user name or password; {_LOGIN}")
    refusal = refusal_of(error)
    if refusal is not None:
        refusal_text = REFUSAL_TEXTS[refusal]
        if refusal in PERMISSION_REFUSALS:
            return SalepulseError(f"Redis at {where} {refusal_text.problem}: {text}; {refusal_text.fix}")
        return RedisUnavailableError(f"Redis at {where} {refusal_text.problem}; {refusal_text.fix}", refusal)
    if "max number of clients" in text:
        return RedisUnavailableError(
            f"Redis at {where} accepts no more clients ({text}); raise its `maxclients`, or reduce the number of "
            "clients"
        )
    if isinstance(error, UNREACHABLE):
        return RedisUnavailableError(
            f"no Redis answers at {where} ({error}); start one, or name another with "
            f"--redis-url{_other(text, endpoint)}"
        )
    return SalepulseError(f"Redis at {where} refused the connection: {error}")


def _other(text: str, endpoint: RedisEndpoint) -> str:
    """A hint to switch TLS on or off: a Redis without TLS waits for more of a handshake."""
    if endpoint.tls is None and ("closed by server" in text or "reset by peer" in text):
        return ", or use rediss:// if it expects TLS"
    if endpoint.tls is not None and "Timeout connecting" in text:
        return ", or use redis:// if it does not use TLS"
    return ""


def _who(endpoint: RedisEndpoint) -> str:
    return f"user {endpoint.user!r}" if endpoint.user else "the default user"
