"""What is said while everything starts."""

from __future__ import annotations

from streams.stack.stack import reason, waiting


def test_a_start_that_takes_its_time_is_no_fault_and_one_that_takes_longer_may_be() -> None:
    assert waiting("no worker yet", 10) == "still starting, as is usual for half a minute: no worker yet"
    assert waiting("no worker yet", 40) == "not ready after 40 s: no worker yet; the logs may say more"


def test_what_is_waited_for_is_said_once_and_in_our_words() -> None:
    stale = [f"partition clicks/{number} is stale: no word from its worker ever" for number in range(12)]
    none, first = "there is no as-of yet", stale[0]
    assert reason(0, "<urlopen error [Errno 111] Connection refused>") == "the API does not answer yet"
    assert reason(502, "Bad Gateway") == "the API answers 502"
    assert reason(503, {"reasons": [none, first]}) == f"{none}; {first}"
    assert reason(503, {"reasons": [*stale, none]}) == (
        f"12 partitions are stale: no word from their workers yet; {none}"
    )
