"""What became of an attempt to send a message."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DeliveryFailure(StrEnum):
    """Why a message did not arrive. Also the label `fault` of the metric."""

    UNREACHABLE = "unreachable"
    """No connection, or it broke."""
    TIMEOUT = "timeout"
    """No answer in time; it may have arrived all the same."""
    FORBIDDEN_ADDRESS = "forbidden_address"
    """The name leads to an address that is not public and not allowed."""
    RATE_LIMITED = "rate_limited"
    """Too many messages for the receiver."""
    SERVER_ERROR = "server_error"
    """The receiver has a fault of its own."""
    REFUSED = "refused"
    """The receiver does not take this message, or not from us."""
    NOT_INSTALLED = "not_installed"
    """A library that this receiver needs is not there."""
    INTERNAL = "internal"
    """A fault of ours."""


PERMANENT_FAILURES = frozenset(
    {
        DeliveryFailure.FORBIDDEN_ADDRESS,
        DeliveryFailure.REFUSED,
        DeliveryFailure.NOT_INSTALLED,
        DeliveryFailure.INTERNAL,
    }
)
"""What trying again soon does not mend: somebody has to do something."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has confirmed it."""


@dataclass(frozen=True, slots=True)
class Failed:
    """It did not arrive, as far as we know."""

    fault: DeliveryFailure
    detail: str
    """What happened, in a sentence, without secrets."""
    retry_after_s: float | None = None
    """What the receiver asked us to wait."""

    @property
    def is_permanent(self) -> bool:
        """Whether trying again soon is of no use."""
        return self.fault in PERMANENT_FAILURES


Outcome = Delivered | Failed
