"""Comparable moments."""

from __future__ import annotations

import pytest

from alerts.rules.detect import ReferencePeriod
from alerts.rules.loader import load
from alerts.viewing.tables import DAYS_BACK, WEEKS_BACK, is_free_of_losses, reference_questions, wants_all_skus
from consumers.contract.events import Promotion
from consumers.topics import Partition, Topic
from streams.model.windows import Window
from streams.settings import Settings
from streams.view.query import KpiQuery

DAY_MS = 86_400_000
NOW = 1_762_776_000_000
SETTINGS = Settings()
LAST = Promotion(promotion_id="d10", name="d10", starts_at=NOW - 30 * DAY_MS, ends_at=NOW - 29 * DAY_MS, timezone="UTC")
THIS = Promotion(
    promotion_id="d11", name="d11", starts_at=NOW - 600_000, ends_at=NOW + DAY_MS, timezone="UTC", baseline="d10"
)


def asked(against: ReferencePeriod, *known: Promotion) -> list[list[KpiQuery]]:
    promotions = {one.promotion_id: one for one in known}
    return list(reference_questions(against, Window.M15, NOW, promotions, SETTINGS))


def test_the_promotion_clock_is_that_of_the_baseline() -> None:
    ((question,),) = asked(ReferencePeriod.PROMOTION_CLOCK, LAST, THIS)
    assert question.as_of_ms == LAST.starts_at + 600_000
    assert question.promotion == "d10"
    assert asked(ReferencePeriod.PROMOTION_CLOCK, THIS) == [], "what is not known cannot be compared with"
    assert asked(ReferencePeriod.PROMOTION_CLOCK) == []


def test_days_and_weeks_before() -> None:
    ((yesterday,),) = asked(ReferencePeriod.YESTERDAY)
    ((week,),) = asked(ReferencePeriod.LAST_WEEK)
    assert (yesterday.as_of_ms, week.as_of_ms) == (NOW - DAY_MS, NOW - 7 * DAY_MS)


def test_the_same_time_of_the_week_is_better_than_that_of_the_day() -> None:
    weeks, days = asked(ReferencePeriod.SEASONAL)
    assert [one.as_of_ms for one in weeks] == [NOW - 7 * DAY_MS * i for i in range(1, WEEKS_BACK + 1)]
    assert [one.as_of_ms for one in days] == [NOW - DAY_MS * i for i in range(1, DAYS_BACK + 1)]


def test_a_window_with_a_hole_in_it_is_no_baseline() -> None:
    question = KpiQuery(Window.M15, as_of_ms=NOW - DAY_MS)
    lost = Partition(Topic.ORDERS, 0)
    assert is_free_of_losses(question, {}, SETTINGS)
    assert is_free_of_losses(question, {lost: NOW - DAY_MS - 901_000}, SETTINGS)
    assert not is_free_of_losses(question, {lost: NOW - DAY_MS - 600_000}, SETTINGS)


@pytest.mark.parametrize(("promoted", "expected"), [("true", False), ("false", True)])
def test_a_stock_rule_reads_all_skus_unless_it_is_about_promoted_ones(promoted: str, expected: bool) -> None:
    rule = f"{{name: a, title: b, for_each: [sku], promoted: {promoted}, detect: {{kind: stock}}}}"
    assert wants_all_skus(load(f"rules: [{rule}]", "rules").rules) is expected
