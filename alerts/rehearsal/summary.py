"""The table of several days: false pages a day, and for each kind of incident recall, delay, pages, names and money."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from alerts.rehearsal.bounds import poisson_interval
from alerts.rehearsal.days import RehearsedDay
from alerts.rehearsal.score import DetectedIncident, PageVerdict
from alerts.rehearsal.truth import describe
from alerts.shop import ShopInfo
from consumers.times import format_utc
from consumers.validation_messages import how_many

TOTAL = "all"
KIND_HEADER = ("incident", "paged", "delay", "bound", "× bound", "pages each", "named", "money")
DAY_HEADER = ("day", "hours", "incidents", "paged", "pages", "false", "late", "wrong money", "plain")


@dataclass(frozen=True, slots=True)
class KindSummary:
    """The incidents of one kind, or all."""

    kind: str
    incidents: Sequence[DetectedIncident]

    @property
    def paged(self) -> int:
        """Number of incidents with a page in time."""
        return sum(incident.first is not None for incident in self.incidents)

    @property
    def delay_s(self) -> float | None:
        """Median delay, where a missed incident is infinitely late; None without incidents."""
        delays = [math.inf if incident.delay_s is None else incident.delay_s for incident in self.incidents]
        return statistics.median_high(delays) if delays else None

    @property
    def bound_s(self) -> float | None:
        """Median bound of those whose bound is known."""
        bounds = [incident.bound.seconds for incident in self.incidents if incident.bound is not None]
        return statistics.median(bounds) if bounds else None

    @property
    def formulas(self) -> list[str]:
        """The formulas of the bounds."""
        return sorted({incident.bound.formula.value for incident in self.incidents if incident.bound is not None})

    @property
    def times_bound(self) -> float | None:
        """Median of delay over bound, where a missed incident is infinitely late."""
        ratios = [
            math.inf if incident.delay_s is None else incident.delay_s / incident.bound.seconds
            for incident in self.incidents
            if incident.bound is not None and incident.bound.seconds > 0
        ]
        return statistics.median_high(ratios) if ratios else None

    @property
    def pages_each(self) -> float | None:
        """Pages of a paged incident, with those after its end."""
        paged = [incident for incident in self.incidents if incident.pages]
        return sum(len(one.pages) + one.late for one in paged) / len(paged) if paged else None

    @property
    def named(self) -> tuple[int, int]:
        """(first pages that name the incident's value, first pages)."""
        return _true_of([incident.is_named for incident in self.incidents])

    @property
    def money(self) -> tuple[int, int]:
        """(first pages whose loss is right, first pages whose loss can be compared)."""
        return _true_of([incident.has_right_money for incident in self.incidents])

    def row(self) -> tuple[str, ...]:
        """A row of `KIND_HEADER`."""
        return (
            self.kind,
            f"{self.paged} of {len(self.incidents)}",
            _seconds(self.delay_s),
            f"{_seconds(self.bound_s)} {'/'.join(self.formulas)}".strip(),
            "–" if self.times_bound is None else "never" if math.isinf(self.times_bound) else f"{self.times_bound:.1f}",
            "–" if self.pages_each is None else f"{self.pages_each:.2f}",
            _of(self.named),
            _of(self.money),
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON; an infinite delay is null, and a missed incident lowers `recall`."""
        return {
            "kind": self.kind,
            "incidents": len(self.incidents),
            "paged": self.paged,
            "not_evaluated": sum(not incident.is_shown for incident in self.incidents),
            "recall": self.paged / len(self.incidents) if self.incidents else None,
            "median_delay_s": _finite(self.delay_s),
            "median_bound_s": _finite(self.bound_s),
            "bound": self.formulas,
            "median_times_bound": _finite(self.times_bound),
            "pages_each": self.pages_each,
            "named": self.named[0],
            "names_compared": self.named[1],
            "right_money": self.money[0],
            "money_compared": self.money[1],
        }


@dataclass(frozen=True, slots=True)
class DaysSummary:
    """Several days against one set of rules."""

    days: Sequence[RehearsedDay]
    shop: ShopInfo = field(default_factory=ShopInfo)

    def kinds(self) -> list[KindSummary]:
        """Each kind, and all together."""
        detected = [incident for day in self.days for incident in day.score.detected]
        names = sorted({incident.happened.kind for incident in detected})
        kinds = [KindSummary(name, [one for one in detected if one.happened.kind == name]) for name in names]
        return [*kinds, KindSummary(TOTAL, detected)]

    def count(self, verdict: PageVerdict) -> int:
        """Number of pages with a verdict."""
        return sum(len(day.score.of(verdict)) for day in self.days)

    @property
    def length_days(self) -> float:
        """Length of all, days of 24 h."""
        return sum(day.score.days for day in self.days)

    @property
    def false_per_day(self) -> tuple[float, float, float]:
        """(false pages a day of 24 h, and its exact 95 % confidence interval); see `bounds.poisson_interval`."""
        false, length = self.count(PageVerdict.FALSE), max(self.length_days, 1e-9)
        return (false / length, *poisson_interval(false, length))

    def verdict(self) -> str:
        """Summarize the result in one line."""
        rate, low, high = self.false_per_day
        total = self.kinds()[-1]
        not_shown = sum(not incident.is_shown for incident in total.incidents)
        unseen = f" ({not_shown} not in the evaluated time)" if not_shown else ""
        others = "".join(
            f", {number} {verdict.value}"
            for verdict in (PageVerdict.LATE, PageVerdict.WRONG_MONEY, PageVerdict.PLAIN)
            if (number := self.count(verdict))
        )
        return (
            f"{how_many(len(self.days), 'day')}, {self.length_days * 24:.1f} h: "
            f"{total.paged} of {how_many(len(total.incidents), 'incident')} paged{unseen}; "
            f"{self.count(PageVerdict.FALSE)} false pages, {rate:.2g} a day (95 %: {low:.2g} to {high:.2g}){others}"
        )

    def day_rows(self) -> list[tuple[str, ...]]:
        """A row of `DAY_HEADER` for each day."""
        return [tuple(map(str, fact.values())) for fact in self.days_as_json()]

    def days_as_json(self) -> list[dict[str, Any]]:
        """Each day as JSON, with the names of `DAY_HEADER`."""
        return [
            {
                "day": day.name,
                "hours": round(day.score.days * 24, 2),
                "incidents": len(day.score.detected),
                "paged": sum(incident.first is not None for incident in day.score.detected),
                "pages": len(day.score.judged),
                "false": len(day.score.false),
                "late": len(day.score.of(PageVerdict.LATE)),
                "wrong_money": len(day.score.of(PageVerdict.WRONG_MONEY)),
                "plain": len(day.score.of(PageVerdict.PLAIN)),
            }
            for day in self.days
        ]

    def incidents_as_json(self) -> list[dict[str, Any]]:
        """Each incident as JSON; unknown numbers are null, money is in minor units."""
        return [
            {
                "day": day.name,
                "incident": describe(incident.happened),
                "at": format_utc(incident.happened.start_ms),
                "first_page": None if incident.first is None else str(incident.first.series),
                "delay_s": incident.delay_s,
                "bound_s": None if incident.bound is None else incident.bound.seconds,
                "pages": len(incident.pages),
                "late": incident.late,
                "named": incident.is_named,
                "lost_per_minute": incident.happened.lost_per_minute,
                "money_per_minute": None if incident.first is None else incident.first.finding.money_per_minute,
                "evaluated": incident.is_shown,
            }
            for day in self.days
            for incident in day.score.detected
        ]

    def missed(self) -> list[tuple[str, ...]]:
        """(day, incident, start, reason) of incidents without a page in time."""
        return [
            (
                day.name,
                describe(incident.happened),
                format_utc(incident.happened.start_ms),
                f"{how_many(incident.late, 'page')} after its end"
                if incident.late
                else "no page"
                if incident.is_shown
                else "not in the evaluated time",
            )
            for day in self.days
            for incident in day.score.detected
            if incident.first is None
        ]

    def wrong_pages(self) -> list[tuple[str, ...]]:
        """(day, start, verdict, series, summary) of pages that are not right; not the plain ones."""
        return [
            (
                day.name,
                format_utc(judged.page.fired_ms),
                judged.verdict.value,
                str(judged.page.series),
                judged.describe(self.shop),
            )
            for day in self.days
            for judged in day.score.judged
            if judged.verdict not in (PageVerdict.RIGHT, PageVerdict.PLAIN)
        ]

    def to_json(self) -> dict[str, Any]:
        """The summary as JSON."""
        rate, low, high = self.false_per_day
        return {
            "verdict": self.verdict(),
            "days": self.days_as_json(),
            "length_days": self.length_days,
            "false_pages": self.count(PageVerdict.FALSE),
            "false_pages_per_day": rate,
            "false_pages_per_day_interval": [low, high],
            "kinds": [kind.to_json() for kind in self.kinds()],
            "incidents": self.incidents_as_json(),
            "wrong_pages": [
                dict(zip(("day", "at", "verdict", "series", "summary"), row, strict=True)) for row in self.wrong_pages()
            ],
        }


def _true_of(answers: Sequence[bool | None]) -> tuple[int, int]:
    known = [answer for answer in answers if answer is not None]
    return sum(known), len(known)


def _of(counts: tuple[int, int]) -> str:
    return f"{counts[0]} of {counts[1]}" if counts[1] else "–"


def _seconds(number: float | None) -> str:
    return "–" if number is None else "never" if math.isinf(number) else f"{number:.0f} s"


def _finite(number: float | None) -> float | None:
    return None if number is None or math.isinf(number) else number
