"""The retry policy."""

from __future__ import annotations

from alerts.delivery.retry import DISCARD_AFTER_MS, plan_retry
from alerts.findings import Severity
from alerts.notify.outcome import Delivered, DeliveryFailure, Failed
from tests.alerts.builders import T0, finding
from tests.alerts.notify.notices import many, noticed

TWO = noticed(*many(2))
LATE_MS = T0 + DISCARD_AFTER_MS


def test_a_delivery_removes_the_notices_and_resets_failures() -> None:
    follows = plan_retry(Delivered(), TWO, 3, T0).result
    assert (list(follows.finished_ids), follows.retries, follows.failures, follows.blocked_ms) == (
        [n.id for n in TWO],
        (),
        0,
        0,
    )


def test_temporary_failures_block_the_receiver_with_growing_pauses() -> None:
    failed = Failed(DeliveryFailure.SERVER_ERROR, "")
    pauses = [plan_retry(failed, TWO, failures, T0).result.blocked_ms - T0 for failures in range(8)]
    assert pauses == [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]


def test_the_pause_requested_by_the_receiver_applies() -> None:
    assert plan_retry(Failed(DeliveryFailure.RATE_LIMITED, "", 600), TWO, 0, T0).result.blocked_ms == T0 + 600_000


def test_a_permanent_failure_does_not_block_other_notices() -> None:
    company = plan_retry(Failed(DeliveryFailure.REFUSED, ""), TWO, 0, T0).result
    assert company.blocked_ms == 0
    assert [(n.alone, n.due_ms) for n in company.retries] == [(True, T0)] * 2
    alone = plan_retry(Failed(DeliveryFailure.REFUSED, ""), company.retries[:1], 1, T0).result
    assert [n.due_ms - T0 for n in alone.retries] == [4000]


def test_non_critical_notices_are_dropped_after_six_hours() -> None:
    critical = noticed(finding(severity=Severity.CRITICAL))
    follows = plan_retry(Failed(DeliveryFailure.TIMEOUT, ""), [*TWO, *critical], 0, LATE_MS)
    assert follows.given_up == TWO
    assert [n.id for n in follows.result.retries] == [critical[0].id]
