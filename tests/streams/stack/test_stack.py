"""What is said while everything starts."""

from __future__ import annotations

from streams.stack.stack import waiting


def test_a_start_that_takes_its_time_is_no_fault_and_one_that_takes_longer_may_be() -> None:
    assert waiting("no worker yet", 10) == "still starting, as is usual for half a minute: no worker yet"
    assert waiting("no worker yet", 40) == "not ready after 40 s: no worker yet; the logs may say more"
