"""What is said while everything starts."""

from __future__ import annotations

from consumers.topics import Partition, Topic
from streams.local.stack.stack import not_ready_reason, waiting_message
from streams.serve.answer_status import ServerState, answer_status
from streams.store.as_of import AsOf, PartitionState


def test_a_start_that_takes_its_time_is_no_fault_and_one_that_takes_longer_may_be() -> None:
    assert waiting_message("no worker yet", 10) == "still starting, as is usual for half a minute: no worker yet"
    assert waiting_message("no worker yet", 40) == "not ready after 40 s: no worker yet; the logs may say more"


def test_what_is_waited_for_is_said_once_and_in_our_words() -> None:
    stale = [f"partition clicks/{number} is stale: no word from its worker ever" for number in range(12)]
    none, first = "there is no as-of yet", stale[0]
    assert not_ready_reason(0, "<urlopen error [Errno 111] Connection refused>") == "the API does not answer yet"
    assert not_ready_reason(502, "Bad Gateway") == "the API answers 502"
    assert not_ready_reason(503, {"reasons": [none, first]}) == f"{none}; {first}"
    assert not_ready_reason(503, {"reasons": [*stale, none]}) == (
        f"12 partitions are stale: no word from their workers yet; {none}"
    )


def test_what_holds_for_many_partitions_is_said_once_as_readyz_says_it() -> None:
    now_ms, partitions = 1_700_000_000_000, tuple(Partition(Topic.CLICKS, number) for number in range(13))
    states = dict.fromkeys(partitions, PartitionState(1, None, None, None, now_ms, 5))

    def said(**facts: object) -> str:
        found = answer_status(
            ServerState(AsOf(now_ms - 60_000, (), 0), states, polled_ms=now_ms, failure=None, **facts), now_ms
        )  # type: ignore[arg-type]
        assert len(found.reasons) >= 13
        return not_ready_reason(503, {"reasons": list(found.reasons)})

    assert said(stale=partitions) == "13 partitions are stale: no word from their workers yet"
    assert said(stale=partitions, unread=partitions) == "13 partitions exist on the broker and no worker reads them yet"
    assert said(stale=()) == "13 partitions have records waiting to be counted"
    assert said(stale=partitions, unread=partitions[:12]).endswith(
        "; partition clicks/12 is stale: no word from its worker since 2023-11-14T22:13:20Z"
    )
