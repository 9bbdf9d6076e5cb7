"""The outcome of a delivery attempt."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DeliveryFailure(StrEnum):
    """Why a delivery failed. Also the metric label `fault`."""

    UNREACHABLE = "unreachable"
    """The connection failed."""
    TIMEOUT = "timeout"
    """No response in time; the message may have been delivered."""
    FORBIDDEN_ADDRESS = "forbidden_address"
    """The address is neither public nor allowed."""
    RATE_LIMITED = "rate_limited"
    """The receiver's rate limit is exceeded."""
    SERVER_ERROR = "server_error"
    """The receiver reported an internal error."""
    REFUSED = "refused"
    """The receiver refused the message or the sender."""
    NOT_INSTALLED = "not_installed"
    """A required library is not installed."""
    INTERNAL = "internal"
    """An error in salepulse."""


PERMANENT_FAILURES = frozenset(
    {
        DeliveryFailure.FORBIDDEN_ADDRESS,
        DeliveryFailure.REFUSED,
        DeliveryFailure.NOT_INSTALLED,
        DeliveryFailure.INTERNAL,
    }
)
"""Failures that a retry cannot fix."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver confirmed the message."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The delivery of the message was not confirmed."""

    fault: DeliveryFailure
    detail: str
    """One sentence without secrets."""
    retry_after_s: float | None = None
    """The delay that the receiver requested."""

    @property
    def is_permanent(self) -> bool:
        """Whether a retry is pointless."""
        return self.fault in PERMANENT_FAILURES


Outcome = Delivered | Failed
