"""What follows from an attempt: what is done with, what is tried again, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from alerts.notify.outcome import Failed, Outcome
from alerts.state.notification import Notice
from alerts.store.outbox import AttemptResult

MIN_BACKOFF_MS = 1000
MAX_BACKOFF_MS = 60_000
DISCARD_AFTER_MS = 6 * 3_600_000
"""When nobody wants to know any more; what is critical is never given up."""


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """What follows from an attempt."""

    result: AttemptResult
    given_up: tuple[Notice, ...] = ()


def plan_retry(outcome: Outcome, sent: Sequence[Notice], failures: int, now_ms: int) -> RetryPlan:
    """What follows. `failures`: attempts in a row that had failed before this one.

    What may pass by itself holds the receiver up for a while, longer each time, or as long as it asked for. What will
    not pass by itself holds up nothing but the notice: of several in one message one may be to blame, so they go
    alone from then on.
    """
    if not isinstance(outcome, Failed):
        return RetryPlan(AttemptResult([notice.id for notice in sent], (), 0, 0))
    given_up = tuple(n for n in sent if not n.critical and now_ms - n.created_ms >= DISCARD_AFTER_MS)
    left = [notice for notice in sent if notice not in given_up]
    asked_ms = None if outcome.retry_after_s is None else round(outcome.retry_after_s * 1000)
    if outcome.is_permanent and asked_ms is None:
        kept = [
            replace(
                notice,
                alone=True,
                failures=notice.failures + 1,
                due_ms=now_ms if len(sent) > 1 else now_ms + backoff_ms(notice.failures + 1),
            )
            for notice in left
        ]
        blocked_ms = 0
    else:
        kept = [replace(notice, failures=notice.failures + 1) for notice in left]
        blocked_ms = now_ms + (backoff_ms(failures) if asked_ms is None else asked_ms)
    return RetryPlan(AttemptResult([notice.id for notice in given_up], kept, failures + 1, blocked_ms), given_up)


def backoff_ms(failures: int) -> int:
    """How long to wait after so many failures before.

    >>> [pause_ms(n) for n in (0, 1, 2, 9)]
    [1000, 2000, 4000, 60000]
    """
    return min(MIN_BACKOFF_MS << min(failures, 16), MAX_BACKOFF_MS)
