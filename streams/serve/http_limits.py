"""Requests and connections rejected to protect other clients, counted by reason."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum


class HttpLimit(StrEnum):
    """The limit that was hit; also the label `reason` of the metric."""

    CONNECTION_DROPPED = "connection_dropped"
    """Too many connections: the longest idle one of the client with the most was closed."""
    CONNECTIONS_FULL = "connections_full"
    """Too many connections, and all of them busy."""
    HEAD_OVERDUE = "head_overdue"
    """No complete request in time."""
    HEAD_TOO_LARGE = "head_too_large"
    """The address or the headers were too long."""
    BODY_OVERDUE = "body_overdue"
    """No complete body in time."""
    BODY_TOO_LARGE = "body_too_large"
    """The body was too large."""
    BODIES_FULL = "bodies_full"
    """Too many bytes of bodies were being received."""
    ANSWER_NOT_READ = "answer_not_read"
    """Too many clients did not read their responses."""
    BUDGET_SPENT = "budget_spent"
    """The client's computing time was spent."""
    QUEUE_FULL = "queue_full"
    """Too many queries waited."""
    DEADLINE = "deadline"
    """No answer in time."""


HttpLimitCounts = Counter[HttpLimit]
"""Rejections of one server."""
