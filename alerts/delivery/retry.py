"""Retry policy: which notices to retry after an attempt, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from alerts.notify.outcome import Failed, Outcome
from alerts.state.notices import AttemptResult, Notice

MIN_BACKOFF_MS = 1000
MAX_BACKOFF_MS = 60_000
DISCARD_AFTER_MS = 6 * 3_600_000
"""Age at which a non-critical notice is dropped; critical ones never are."""


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """The result to record for an attempt, and the notices to drop."""

    result: AttemptResult
    given_up: tuple[Notice, ...] = ()


def plan_retry(outcome: Outcome, sent: Sequence[Notice], failures: int, now_ms: int) -> RetryPlan:
    """Plan the retries after an attempt. `failures`: consecutive failures before it.

    A temporary failure blocks the receiver with growing pauses, or for the time it requested. After a permanent failure
    of a group, its notices are retried one by one, so that one bad notice does not block the others.
    """
    if not isinstance(outcome, Failed):
        return RetryPlan(AttemptResult([notice.id for notice in sent], (), 0, 0))
    given_up = tuple(n for n in sent if not n.critical and now_ms - n.created_ms >= DISCARD_AFTER_MS)
    remaining = [notice for notice in sent if notice not in given_up]
    retry_after_ms = None if outcome.retry_after_s is None else round(outcome.retry_after_s * 1000)
    if outcome.is_permanent and retry_after_ms is None:
        retries = [
            replace(
                notice,
                alone=True,
                failures=notice.failures + 1,
                due_ms=now_ms if len(sent) > 1 else now_ms + backoff_ms(notice.failures + 1),
            )
            for notice in remaining
        ]
        blocked_ms = 0
    else:
        retries = [replace(notice, failures=notice.failures + 1) for notice in remaining]
        blocked_ms = now_ms + (backoff_ms(failures) if retry_after_ms is None else retry_after_ms)
    return RetryPlan(AttemptResult([notice.id for notice in given_up], retries, failures + 1, blocked_ms), given_up)


def backoff_ms(failures: int) -> int:
    """Pause in ms after a number of consecutive failures.

    >>> [backoff_ms(n) for n in (0, 1, 2, 9)]
    [1000, 2000, 4000, 60000]
    """
    return min(MIN_BACKOFF_MS << min(failures, 16), MAX_BACKOFF_MS)
