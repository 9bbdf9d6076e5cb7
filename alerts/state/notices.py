"""Notices, and the queue in which they wait for delivery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from alerts.findings import Severity
from alerts.state.alert import AlertState


class NoticeKind(StrEnum):
    """Kind of a notice."""

    FIRING = "firing"
    ESCALATED = "escalated"
    """The alert was not acknowledged before the next escalation step."""
    WORSE = "worse"
    """The severity increased."""
    UPDATED = "updated"
    """Another alert of the same incident took over the page, or the incident reached the next stage."""
    REMINDER = "reminder"
    """The alert still fires."""
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One notification of one alert to one receiver, with a snapshot of the alert."""

    id: str
    """Idempotency key: the same for all attempts."""
    receiver: str
    kind: NoticeKind
    alert: AlertState
    created_ms: int
    due_ms: int
    """Earliest time to send."""
    failures: int = 0
    """Number of failed attempts."""
    alone: bool = False
    """Send it ungrouped: the receiver refused a group that contained it."""
    digest: str = ""
    """Id that all notices about the alerts of one digest share; empty: none."""
    is_digest_open: bool = False
    """Whether the receiver was not notified of the end of other alerts of the digest."""

    @property
    def critical(self) -> bool:
        """Whether its alert is critical."""
        return self.alert.severity is Severity.CRITICAL


@dataclass(frozen=True, slots=True)
class WithdrawnNotice:
    """A queued notice to delete before it is due."""

    receiver: str
    id: str
    due_ms: int


@dataclass(frozen=True, slots=True)
class ReceiverBusy:
    """Another process is sending to the receiver."""


@dataclass(frozen=True, slots=True)
class ReceiverBlocked:
    """No attempt to this receiver is allowed yet."""

    until_ms: int


@dataclass(frozen=True, slots=True)
class DueNotices:
    """The notices that are due; may be empty."""

    notices: tuple[Notice, ...]
    failures: int
    """Consecutive failed attempts."""
    attempts_ms: tuple[int, ...]
    """Times of attempts within the rate-limit window, ascending."""


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """The outcome of an attempt."""

    finished_ids: Sequence[str]
    """Ids of notices that were delivered or dropped."""
    retries: Sequence[Notice]
    """Notices to retry, updated."""
    failures: int
    blocked_ms: int
    """No attempts to this receiver before this time."""


class NoticeQueue(Protocol):
    """The storage of queued notices."""

    async def claim_due(
        self, receiver: str, now_ms: int, rate_window_ms: int
    ) -> ReceiverBusy | ReceiverBlocked | DueNotices:
        """Claim the receiver if it has due notices."""

    async def begin_attempt(self, receiver: str, now_ms: int, rate_window_ms: int) -> bool:
        """Record the start of an attempt. False: the claim was lost; send nothing."""

    async def record_outcome(self, receiver: str, result: AttemptResult) -> None:
        """Record the outcome of an attempt."""

    async def waiting(self, receiver: str) -> int:
        """Number of queued notices of a receiver."""
