"""Whether pages are right: by their values, time, category and money, whatever rule they come from."""

from __future__ import annotations

from dataclasses import replace

from alerts.findings import Category, Labels, Series, Severity
from alerts.rehearsal.play import Page, RehearsalResult, Transfer
from alerts.rehearsal.score import DetectedIncident, PageVerdict, Score, score
from alerts.rehearsal.truth import ActualIncident
from tests.alerts.builders import finding

MIN_MS = 60_000
APP: Labels = (("channel", "app"),)
WEST: Labels = (("region", "west"),)
OMS: Labels = (("source", "oms-1"), ("topic", "orders"))
ORDERS = ActualIncident("order_drop", 10 * MIN_MS, 20 * MIN_MS)
IN_APP = replace(ORDERS, facts=frozenset(APP))
SILENT = ActualIncident("producer_silent", 10 * MIN_MS, 20 * MIN_MS, frozenset(OMS), Category.DATA)


def page(
    minute: float,
    labels: Labels = (),
    rule: str = "any",
    *,
    category: Category = Category.BUSINESS,
    severity: Severity = Severity.CRITICAL,
    money: int | None = None,
    title: str = "Conversion dropped",
    until: float | None = None,
) -> Page:
    series = Series(rule, labels)
    found = replace(finding(), series=series, category=category, severity=severity, money_per_minute=money, title=title)
    return Page(series, "", round(minute * MIN_MS), found, None if until is None else round(until * MIN_MS))


def scored(pages: list[Page], *happened: ActualIncident, plain: tuple[str, ...] = ()) -> Score:
    total = Score()
    score(total, RehearsalResult(pages, start_ms=1, end_ms=60 * MIN_MS), happened, plain)
    return total


def verdict(of: Page, *happened: ActualIncident, plain: tuple[str, ...] = ()) -> PageVerdict:
    (judged,) = scored([of], *happened, plain=plain).judged
    return judged.verdict


class TestNames:
    def test_the_value_or_the_whole_that_contains_it_is_right_from_any_rule(self) -> None:
        for labels in (APP, ()):
            for rule in ("conversion-drop", "order-silence", "a-rule-of-another-family"):
                assert verdict(page(11, labels, rule), IN_APP) is PageVerdict.RIGHT

    def test_another_value_or_a_part_of_the_whole_is_false(self) -> None:
        assert verdict(page(11, WEST), IN_APP) is PageVerdict.FALSE
        assert verdict(page(11, (("channel", "web"),)), IN_APP) is PageVerdict.FALSE
        assert verdict(page(11, APP), ORDERS) is PageVerdict.FALSE

    def test_one_dimension_of_several_contains_the_incident(self) -> None:
        both = replace(ORDERS, facts=frozenset({*APP, *WEST}))
        assert verdict(page(11, APP), both) is verdict(page(11, WEST), both) is PageVerdict.RIGHT

    def test_whether_the_first_page_names_the_value_is_counted_apart(self) -> None:
        assert [scored([page(11, labels)], IN_APP).detected[0].is_named for labels in (APP, ())] == [True, False]
        assert scored([page(11)], ORDERS).detected[0].is_named
        assert scored([], ORDERS).detected[0].is_named is None

    def test_an_incident_that_does_not_show_in_the_whole_must_be_named(self) -> None:
        sku = replace(ORDERS, facts=frozenset({("sku", "P-1"), ("category", "phones")}), must_be_named=True)
        assert verdict(page(11), sku) is PageVerdict.FALSE
        for label in sku.facts:
            assert verdict(page(11, (label,)), sku) is PageVerdict.RIGHT


class TestTime:
    def test_a_page_before_the_incident_is_false_unless_it_may_come_early(self) -> None:
        assert verdict(page(9), ORDERS) is PageVerdict.FALSE
        early = scored([page(9)], replace(ORDERS, early_ms=2 * MIN_MS))
        assert early.detected[0].delay_s == 0.0

    def test_a_page_soon_after_the_end_is_late_and_its_incident_missed(self) -> None:
        total = scored([page(20)], ORDERS)
        assert [judged.verdict for judged in total.judged] == [PageVerdict.LATE]
        assert (total.recall, total.rules["any"].precision, total.detected[0].late) == (0.0, 0.0, 1)
        assert verdict(page(26), ORDERS) is PageVerdict.FALSE

    def test_a_limit_may_be_exceeded_by_consequences(self) -> None:
        assert verdict(page(21), ORDERS, plain=("any",)) is PageVerdict.RIGHT
        assert verdict(page(40), ORDERS, plain=("any",)) is PageVerdict.PLAIN

    def test_how_long_after_its_end_the_last_page_ends(self) -> None:
        after = [scored([page(11, until=until)], ORDERS).detected[0].closed_after_s for until in (15, 21, None)]
        assert after == [None, 60.0, float("inf")]
        assert scored([], ORDERS).detected[0].closed_after_s is None


class TestDelays:
    LATE = replace(ORDERS, category=None, is_delay=True)

    def test_are_right_only_as_a_warning_that_says_so(self) -> None:
        for title in ("A producer's events come late", "Payments are late or missing"):
            assert verdict(page(11, severity=Severity.WARNING, title=title), self.LATE) is PageVerdict.RIGHT
        assert verdict(page(11, title="Payments are late or missing"), self.LATE) is PageVerdict.FALSE
        assert verdict(page(11, severity=Severity.WARNING, title="Fewer orders"), self.LATE) is PageVerdict.FALSE


class TestDataFaults:
    def test_are_right_only_as_data(self) -> None:
        assert verdict(page(11, OMS, category=Category.DATA), SILENT) is PageVerdict.RIGHT
        assert verdict(page(11, category=Category.BUSINESS), SILENT) is PageVerdict.FALSE
        assert verdict(page(11, category=Category.DATA), ORDERS) is PageVerdict.FALSE

    def test_a_silent_topic_may_be_either(self) -> None:
        topic = replace(SILENT, category=None, facts=frozenset({("topic", "orders")}))
        for category in Category:
            assert verdict(page(11, category=category), topic) is PageVerdict.RIGHT


class TestMoney:
    def test_a_loss_within_a_factor_of_two_is_right(self) -> None:
        costly = replace(ORDERS, lost_per_minute=1000.0)
        stated = {money: verdict(page(11, money=money), costly) for money in (499, 500, 2000, 2001)}
        assert stated == {
            499: PageVerdict.WRONG_MONEY,
            500: PageVerdict.RIGHT,
            2000: PageVerdict.RIGHT,
            2001: PageVerdict.WRONG_MONEY,
        }

    def test_an_unknown_loss_is_not_judged(self) -> None:
        assert verdict(page(11, money=1), ORDERS) is PageVerdict.RIGHT
        assert scored([page(11)], replace(ORDERS, lost_per_minute=1000.0)).detected[0].has_right_money is None


class TestRecall:
    def test_is_over_all_incidents(self) -> None:
        unseen = ActualIncident("price_error", 30 * MIN_MS, 40 * MIN_MS)
        total = scored([page(11)], ORDERS, unseen)
        assert total.recall == 0.5

    def test_an_incident_outside_the_evaluated_time_counts_and_is_listed(self) -> None:
        later = ActualIncident("order_stop", 70 * MIN_MS, 80 * MIN_MS)
        total = scored([page(11)], ORDERS, later)
        assert (total.recall, [one.is_shown for one in total.detected]) == (0.5, [True, False])

    def test_notes_are_not_pages(self) -> None:
        total = scored([page(11, severity=Severity.INFO), page(30, severity=Severity.INFO)], ORDERS)
        assert (total.judged, total.recall) == ([], 0.0)


class TestTwoAtOnce:
    def both(self, *pages: Page) -> list[DetectedIncident]:
        carts = ActualIncident("cart_drop", 12 * MIN_MS, 20 * MIN_MS, frozenset(APP))
        payments = ActualIncident("payment_failures", 10 * MIN_MS, 20 * MIN_MS, frozenset(WEST))
        return scored([*pages], payments, carts).detected

    def test_each_page_belongs_to_the_incident_that_it_names(self) -> None:
        assert [len(one.pages) for one in self.both(page(11, WEST), page(13, APP))] == [1, 1]

    def test_one_page_for_two_incidents_detects_one(self) -> None:
        assert sorted(len(one.pages) for one in self.both(page(13))) == [0, 1]
        assert [len(one.pages) for one in self.both(page(13), page(14))] == [1, 1]

    def test_a_second_page_of_one_does_not_detect_the_other(self) -> None:
        assert [len(one.pages) for one in self.both(page(11, WEST), page(13, WEST))] == [2, 0]

    def test_an_open_page_that_continues_under_the_whole_detects_what_has_no_page(self) -> None:
        """A false page of the app was open as all orders stopped: on-call gets an update, not a second page."""
        before = page(5, APP)
        update = Transfer(11 * MIN_MS, page(11, money=7).finding)
        total = scored([replace(before, transfers=(update,))], ORDERS)
        (found,) = total.detected
        assert (found.delay_s, len(found.pages), len(total.false), total.recall) == (60.0, 1, 1, 1.0)
        assert len(scored([replace(before, transfers=(update,)), page(12)], ORDERS).detected[0].pages) == 1

    def test_a_page_of_data_is_about_the_fault_of_data(self) -> None:
        stop = replace(ORDERS, start_ms=11 * MIN_MS, category=None)
        found = scored([page(12, category=Category.DATA), page(13)], SILENT, stop).detected
        assert [len(one.pages) for one in found] == [1, 1]

    def test_a_business_incident_during_a_data_fault(self) -> None:
        pages = [page(11, OMS, category=Category.DATA), page(13)]
        assert [len(one.pages) for one in scored(pages, SILENT, ORDERS).detected] == [1, 1]
