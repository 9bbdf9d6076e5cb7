"""Requests and connections that this server refused so that others are answered, counted by reason."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum


class HttpLimit(StrEnum):
    """Why; also the label of the metric."""

    CONNECTION_DROPPED = "connection_dropped"
    """Too many were open: of the client with the most, the one that had waited longest for its client."""
    CONNECTIONS_FULL = "connections_full"
    """Too many were open, and every one was being answered."""
    HEAD_OVERDUE = "head_overdue"
    """No whole request within the time for it."""
    HEAD_TOO_LARGE = "head_too_large"
    """Its address or its headers were too long."""
    BODY_OVERDUE = "body_overdue"
    """No whole body within the time for it."""
    BODY_TOO_LARGE = "body_too_large"
    """More bytes than a body may have."""
    BODIES_FULL = "bodies_full"
    """Too many bytes of bodies were held."""
    ANSWER_NOT_READ = "answer_not_read"
    """Too many clients did not read what was sent to them."""
    BUDGET_SPENT = "budget_spent"
    """The token's computing time was spent."""
    QUEUE_FULL = "queue_full"
    """Too many questions waited for their turn."""
    DEADLINE = "deadline"
    """No answer within the time for it."""


class HttpLimitCounts:
    """Counts of one server."""

    def __init__(self) -> None:
        self.counts: Counter[HttpLimit] = Counter()

    def add(self, refusal: HttpLimit) -> None:
        """One more."""
        self.counts[refusal] += 1
