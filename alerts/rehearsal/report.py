"""The report of a rehearsal: text, JSON, and a page with a chart."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from alerts.rehearsal.days import Rehearsed, add_score
from alerts.rehearsal.pace import RehearsalPace
from alerts.rehearsal.play import RehearsalResult
from alerts.rehearsal.rehearsal import SaleTimeline
from alerts.rehearsal.score import DetectedIncident, PageVerdict, Score
from alerts.rehearsal.sources import RehearsalSource
from alerts.rehearsal.truth import SaleTruth, describe
from alerts.rules.rule import Rules
from alerts.shop import ShopInfo
from alerts.wording.amounts import format_count
from alerts.wording.sentences import sentence
from consumers.times import format_duration, format_utc_ms

_JUDGED = (PageVerdict.RIGHT, PageVerdict.WRONG_MONEY, PageVerdict.FALSE, PageVerdict.LATE)
_WIDTH, _HEIGHT, _MARGIN = 1000, 180, 30
_MOST_POINTS = 2000
_COLOURS = {"product_views": "#8aa4c8", "orders_created": "#1d6f42"}
_STYLE = (
    "body{font:14px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:64rem;color:#1c2430}"
    "table{border-collapse:collapse;width:100%;margin:1rem 0}td,th{padding:.3rem .6rem;border-bottom:1px solid #dde3ea;"
    "text-align:left;vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}"
    "svg{width:100%;height:auto}.false{color:#b3261e}small{color:#5d6b7d}"
)
HEADER = ("rule", "pages", "right", "wrong money", "false", "late", "plain", "precision", "median delay", "false/day")
INCIDENT_HEADER = ("incident", "at", "first page", "after", "bound", "pages", "named", "money")
_NOT_SHOWN = "not in the evaluated time"


@dataclass(frozen=True, slots=True)
class Report:
    """The report of one sale and one set of rules."""

    played: RehearsalResult
    truth: SaleTruth | None
    """None: the actual incidents are unknown."""
    found: Score
    course: SaleTimeline
    pace: RehearsalPace
    rules: Rules
    """The requested rules; see `RehearsalPace.left_out`."""
    shop: ShopInfo = field(default_factory=ShopInfo)

    def rows(self) -> list[tuple[str, ...]]:
        """A row of `HEADER` for each rule that paged, most pages first."""
        ranked = sorted(self.found.rules.items(), key=lambda rule_score: (-rule_score[1].pages, rule_score[0]))
        return [
            (
                name,
                str(rule_score.pages),
                *(self._known(rule_score.verdicts[verdict]) for verdict in _JUDGED),
                str(rule_score.verdicts[PageVerdict.PLAIN]),
                "–" if rule_score.precision is None or self.truth is None else f"{rule_score.precision:.0%}",
                format_duration(1000 * statistics.median(rule_score.delays_s)) if rule_score.delays_s else "–",
                self._known(rule_score.verdicts[PageVerdict.FALSE] / self.found.days if self.found.days else 0),
            )
            for name, rule_score in ranked
        ]

    def _known(self, number: float) -> str:
        return "?" if self.truth is None else format_count(number)

    def verdict(self) -> str:
        """Summarize the result in one line."""
        score = self.found
        whole = f"{len(score.judged)} pages in {score.days * 24:.1f} h"
        if self.truth is None:
            return f"{whole}; what really went wrong is not known"
        paged = sum(incident.first is not None for incident in score.detected)
        per_day = score.false_per_day
        rate = "" if per_day is None else f", {per_day:.2g} false pages a day"
        beside = "".join(
            f", {len(pages)} {text}"
            for text, pages in (
                ("late", score.of(PageVerdict.LATE)),
                ("with wrong money", score.of(PageVerdict.WRONG_MONEY)),
            )
            if pages
        )
        not_shown = sum(not incident.is_shown for incident in score.detected)
        unseen = f" ({not_shown} {_NOT_SHOWN})" if not_shown else ""
        false_pages = f"{len(score.false)} pages were false{beside}{rate}"
        return f"{whole}: {paged} of {len(score.detected)} incidents paged{unseen}, {false_pages}"

    def incidents(self) -> list[tuple[str, ...]]:
        """A row of `INCIDENT_HEADER` for each incident, then for each change of demand."""
        demand = () if self.truth is None else self.truth.demand
        return [
            *map(_incident_row, self.found.detected),
            *(
                (
                    describe(change),
                    format_utc_ms(change.start_ms),
                    "none wanted: demand changed",
                    *("–" for _ in range(5)),
                )
                for change in demand
            ),
        ]

    def pages(self) -> list[tuple[str, ...]]:
        """(start, end, severity, verdict, summary) in order of start."""
        return [
            (
                format_utc_ms(judged.page.fired_ms),
                format_utc_ms(judged.page.resolved_ms) if judged.page.resolved_ms else "",
                judged.page.finding.severity.value,
                "" if self.truth is None else judged.verdict.value,
                judged.describe(self.shop),
            )
            for judged in self.found.judged
        ]

    def to_json(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "verdict": self.verdict(),
            "every_s": self.pace.every_s,
            "step_s": self.pace.step_s,
            "left_out": list(self.pace.left_out(self.rules)),
            "days": self.found.days,
            "recall": self.found.recall if self.truth is not None else None,
            "false_pages_per_day": self.found.false_per_day if self.truth is not None else None,
            "rules": [dict(zip(HEADER, row, strict=True)) for row in self.rows()],
            "incidents": [
                dict(zip(("kind", "at", "first_rule", "delay", "bound", "pages", "named", "money"), row, strict=True))
                for row in self.incidents()
            ],
            "pages": [
                dict(zip(("at", "until", "severity", "verdict", "summary"), row, strict=True)) for row in self.pages()
            ],
            "inhibited": [
                {"rule": rule, "reason": reason.value, "series": count}
                for (rule, reason), count in self.played.inhibited.items()
            ],
        }

    def html(self) -> str:
        """Render a self-contained HTML page."""
        parts = [
            "<!doctype html><html lang=en><meta charset=utf-8><title>Rehearsal</title>",
            f"<style>{_STYLE}</style><h1>Rehearsal</h1><p>{escape(self.verdict())}</p><p>{escape(self.pace.describe())}</p>",
            *(f"<p>{escape(text)}</p>" for text in [self.pace.describe_left_out(self.rules)] if text),
            self._chart(),
            "<h2>Rules</h2>",
            _table(HEADER, self.rows(), numbers=range(1, len(HEADER))),
        ]
        if self.truth is not None:
            parts += ["<h2>Incidents</h2>", _table(INCIDENT_HEADER, self.incidents(), numbers=(3, 4, 5))]
        parts += ["<h2>Pages</h2>", _table(("at", "until", "severity", "verdict", "summary"), self.pages())]
        return "\n".join(parts) + "\n"

    def _chart(self) -> str:
        """Counters by minute, incidents as bands, pages as marks."""
        if not self.course.minutes:
            return ""
        first, last = self.course.minutes.start, self.course.minutes.stop
        step = self.course.step(_MOST_POINTS)

        def x(at_ms: float) -> float:
            return _MARGIN + (at_ms / 60_000 - first) / (last - first) * (_WIDTH - 2 * _MARGIN)

        drawn = [
            f'<rect x="{x(band.start_ms):.1f}" width="{max(1.0, x(band.end_ms) - x(band.start_ms)):.1f}" y="{_MARGIN}" '
            f'height="{_HEIGHT - 2 * _MARGIN}" fill="#f4c7c3"><title>{escape(band.kind)}</title></rect>'
            for band in (() if self.truth is None else self.truth.incidents)
        ]
        for name in self.course.by_minute:
            means = self.course.points(name, step)
            highest = max(mean for _, mean in means) or 1
            points = " ".join(
                f"{x(minute * 60_000):.1f},{_HEIGHT - _MARGIN - mean / highest * (_HEIGHT - 2 * _MARGIN):.1f}"
                for minute, mean in means
            )
            drawn.append(f'<polyline points="{points}" fill="none" stroke="{_COLOURS[name]}" stroke-width="1.2"/>')
        drawn += [
            f'<circle cx="{x(page.fired_ms):.1f}" cy="{_MARGIN / 2}" r="4" fill="#b3261e">'
            f"<title>{escape(sentence(page.finding, self.shop))}</title></circle>"
            for page in self.played.pages
        ]
        legend = " · ".join(f'<span style="color:{_COLOURS[name]}">{name} a minute</span>' for name in _COLOURS)
        means_of = f", each point the mean of {step} minutes" if step > 1 else ""
        return (
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{"".join(drawn)}</svg>'
            f"<small>{legend} (each by its own scale{means_of}) · bands: what went wrong · dots: pages</small>"
        )


def report(rules: Rules, source: RehearsalSource, done: Rehearsed, pace: RehearsalPace) -> Report:
    """Score the pages against the actual incidents."""
    total = Score()
    add_score(total, rules, source, done)
    return Report(done.played, source.truth, total, done.course, pace, rules)


def _incident_row(incident: DetectedIncident) -> tuple[str, ...]:
    first = "none" if incident.is_shown else f"none: {_NOT_SHOWN}"
    return (
        describe(incident.happened),
        format_utc_ms(incident.happened.start_ms),
        str(incident.first.series) if incident.first else first,
        format_duration(1000 * incident.delay_s) if incident.delay_s is not None else "–",
        f"{format_duration(1000 * incident.bound.seconds)} {incident.bound.formula}"
        if incident.bound is not None
        else "–",
        str(len(incident.pages)),
        _yes_no(incident.is_named),
        _yes_no(incident.has_right_money),
    )


def _yes_no(answer: bool | None) -> str:
    return "–" if answer is None else "yes" if answer else "no"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int] = ()) -> str:
    def cells(row: Sequence[str], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=n' if i in numbers else ''}{' class=false' if cell == 'false' and tag == 'td' else ''}>"
            f"{escape(cell)}</{tag}>"
            for i, cell in enumerate(row)
        )

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f"<table><tr>{cells(header, 'th')}</tr>{body}</table>"
