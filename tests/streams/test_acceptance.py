"""A topic is judged by its first thousand messages, whatever batches they come in."""

from __future__ import annotations

import pytest

from consumers.contract.rejection import Reason, Rejected
from consumers.topics import Topic
from streams.acceptance import Tally, Verdict, judge, tally

NOTHING = Tally(0, {})


def refused(*at: int, reason: Reason = Reason.BAD_JSON, detail: str = "no JSON at byte 0") -> list[Rejected]:
    return [Rejected(index, reason, detail) for index in at]


@pytest.mark.parametrize(
    ("counted", "size", "bad", "verdict"),
    [
        (NOTHING, 10, range(8), Verdict.UNDECIDED),
        (NOTHING, 500, range(500), Verdict.UNDECIDED),
        (NOTHING, 501, range(501), Verdict.STOPPED),
        (NOTHING, 50_000, range(50_000), Verdict.STOPPED),
        (NOTHING, 50_000, range(1_000, 50_000), Verdict.UNDECIDED),
        (NOTHING, 50_000, range(0, 50_000, 2), Verdict.UNDECIDED),
        (Tally(600, {"bad_json": 500}), 1, [0], Verdict.STOPPED),
        (Tally(600, {"bad_json": 500}), 1, [], Verdict.UNDECIDED),
        (Tally(999, {"bad_json": 500}), 10, range(1, 10), Verdict.UNDECIDED),
        (Tally(1_000, {"bad_json": 1_000}), 10, range(10), Verdict.ACCEPTED),
    ],
)
def test_more_than_half_of_the_first_thousand_stops_it(counted: Tally, size: int, bad: range, verdict: Verdict) -> None:
    assert judge(counted, size, refused(*bad)).verdict is verdict


def test_it_says_how_many_for_what_and_an_example() -> None:
    batch = [*refused(*range(300)), *refused(300, reason=Reason.MISSING_FIELD, detail="`ts` is missing")]
    found = judge(Tally(400, {"missing_field": 250}), 400, batch)
    assert found.why == (
        "551 of its first 800 messages break the contract: 300 bad_json (such as: no JSON at byte 0), 251 missing_field"
    )


def test_the_totals_of_a_topic_are_all_that_was_counted_of_it() -> None:
    totals = {
        "events,orders,order_paid": 5,
        "events,clicks,page_view": 99,
        "rejected,orders,bad_json": 2,
        "duplicates,orders": 3,
        "labels_dropped,orders,channel": 7,
    }
    assert tally(Topic.ORDERS, totals) == Tally(10, {"bad_json": 2})


def test_promotions_that_an_earlier_version_counted_are_not_judged_again() -> None:
    old = tally(Topic.PROMOTIONS, {"rejected,promotions,bad_json": 600})
    assert judge(old, 1, []).verdict is Verdict.ACCEPTED
    new = tally(Topic.PROMOTIONS, {"rejected,promotions,bad_json": 500}, applied=0)
    assert judge(new, 1, refused(0)).verdict is Verdict.STOPPED
