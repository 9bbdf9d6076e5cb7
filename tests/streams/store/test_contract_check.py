"""A topic is checked by its first thousand messages, however they are batched."""

from __future__ import annotations

import pytest

from consumers.contract.rejection import RejectedMessage, RejectionReason
from consumers.topics import Topic
from streams.store.contract_check import TopicTally, TopicVerdict, check_contract, topic_tally

NOTHING = TopicTally(0, {})


def refused(
    *at: int, reason: RejectionReason = RejectionReason.BAD_JSON, detail: str = "no JSON at byte 0"
) -> list[RejectedMessage]:
    return [RejectedMessage(index, reason, detail) for index in at]


@pytest.mark.parametrize(
    ("counted", "size", "bad", "verdict"),
    [
        (NOTHING, 10, range(8), TopicVerdict.UNDECIDED),
        (NOTHING, 500, range(500), TopicVerdict.UNDECIDED),
        (NOTHING, 501, range(501), TopicVerdict.PAUSED),
        (NOTHING, 50_000, range(50_000), TopicVerdict.PAUSED),
        (NOTHING, 50_000, range(1_000, 50_000), TopicVerdict.UNDECIDED),
        (NOTHING, 50_000, range(0, 50_000, 2), TopicVerdict.UNDECIDED),
        (TopicTally(600, {"bad_json": 500}), 1, [0], TopicVerdict.PAUSED),
        (TopicTally(600, {"bad_json": 500}), 1, [], TopicVerdict.UNDECIDED),
        (TopicTally(999, {"bad_json": 500}), 10, range(1, 10), TopicVerdict.UNDECIDED),
        (TopicTally(1_000, {"bad_json": 1_000}), 10, range(10), TopicVerdict.ACCEPTED),
    ],
)
def test_pauses_if_more_than_half_of_the_first_thousand_are_rejected(
    counted: TopicTally, size: int, bad: range, verdict: TopicVerdict
) -> None:
    assert check_contract(counted, size, refused(*bad)).verdict is verdict


def test_reports_numbers_by_reason_and_an_example() -> None:
    batch = [*refused(*range(300)), *refused(300, reason=RejectionReason.MISSING_FIELD, detail="`ts` is missing")]
    found = check_contract(TopicTally(400, {"missing_field": 250}), 400, batch)
    assert found.why == (
        "551 of its first 800 messages break the contract: 300 bad_json (such as: no JSON at byte 0), 251 missing_field"
    )


def test_the_tally_sums_the_totals_of_all_shards() -> None:
    totals = {
        "events,orders,order_paid": 5,
        "events,clicks,page_view": 99,
        "rejected,orders,bad_json": 2,
        "duplicates,orders": 3,
        "labels_dropped,orders,channel": 7,
    }
    assert topic_tally(Topic.ORDERS, totals) == TopicTally(10, {"bad_json": 2})


def test_accepts_promotions_counted_by_an_earlier_version() -> None:
    old = topic_tally(Topic.PROMOTIONS, {"rejected,promotions,bad_json": 600})
    assert check_contract(old, 1, []).verdict is TopicVerdict.ACCEPTED
    new = topic_tally(Topic.PROMOTIONS, {"rejected,promotions,bad_json": 500}, applied=0)
    assert check_contract(new, 1, refused(0)).verdict is TopicVerdict.PAUSED
