"""The report of a rehearsal: text, JSON, and a page with a chart."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from alerts.rehearsal.pace import RehearsalPace
from alerts.rehearsal.play import Page, RehearsalResult
from alerts.rehearsal.rehearsal import SaleTimeline
from alerts.rehearsal.score import ActualIncident, Score, score
from alerts.rules.detect import HealthCheckDetector, ThresholdDetector
from alerts.rules.rule import Rules
from consumers.times import format_utc_ms

_WIDTH, _HEIGHT, _MARGIN = 1000, 180, 30
_MOST_POINTS = 2000
_COLOURS = {"product_views": "#8aa4c8", "orders_created": "#1d6f42"}
_STYLE = (
    "body{font:14px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:64rem;color:#1c2430}"
    "table{border-collapse:collapse;width:100%;margin:1rem 0}td,th{padding:.3rem .6rem;border-bottom:1px solid #dde3ea;"
    "text-align:left;vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}"
    "svg{width:100%;height:auto}.false{color:#b3261e}small{color:#5d6b7d}"
)
HEADER = ("rule", "pages", "right", "false", "late", "plain", "precision", "median delay", "false/day")


@dataclass(frozen=True, slots=True)
class Report:
    """The report of one sale and one set of rules."""

    played: RehearsalResult
    happened: Sequence[ActualIncident] | None
    """None: the actual incidents are unknown."""
    found: Score
    course: SaleTimeline
    pace: RehearsalPace
    rules: Rules
    """The requested rules; see `RehearsalPace.left_out`."""

    def rows(self) -> list[tuple[str, ...]]:
        """A row of `HEADER` for each rule that paged, most pages first."""
        ranked = sorted(self.found.rules.items(), key=lambda rule_score: (-rule_score[1].pages, rule_score[0]))
        return [
            (
                name,
                str(rule_score.pages),
                self._known(rule_score.right),
                self._known(rule_score.false),
                self._known(rule_score.late),
                str(rule_score.plain),
                "–" if rule_score.precision is None or self.happened is None else f"{rule_score.precision:.0%}",
                f"{statistics.median(rule_score.delays_s):.0f} s" if rule_score.delays_s else "–",
                self._known(rule_score.false / self.found.days if self.found.days else 0),
            )
            for name, rule_score in ranked
        ]

    def _known(self, number: float) -> str:
        return "?" if self.happened is None else f"{number:.3g}"

    def verdict(self) -> str:
        """Summarize the result in one line."""
        score = self.found
        whole = f"{len(self.played.pages)} pages in {score.days * 24:.1f} h"
        if self.happened is None:
            return f"{whole}; what really went wrong is not known"
        paged = sum(incident.first is not None for incident in score.detected)
        per_day = score.false_per_day
        rate = "" if per_day is None else f", {per_day:.2g} false pages a day"
        late = f", {len(score.late)} late" if score.late else ""
        false_pages = f"{len(score.false)} pages were false{late}{rate}"
        return f"{whole}: {paged} of {len(score.detected)} incidents paged, {false_pages}"

    def incidents(self) -> list[tuple[str, ...]]:
        """(incident, time, first rule, delay, pages)."""
        return [
            (
                incident.happened.kind,
                format_utc_ms(incident.happened.start_ms),
                str(incident.first.series) if incident.first else "none",
                f"{incident.delay_s:.0f} s" if incident.delay_s is not None else "–",
                str(incident.pages),
            )
            for incident in self.found.detected
        ]

    def pages(self) -> list[tuple[str, ...]]:
        """(start, end, severity, verdict, summary) in order of start."""
        score = self.found
        verdicts = {"false": score.false, "late": score.late, "plain": score.plain}
        known = {id(page): verdict for verdict, pages in verdicts.items() for page in pages}

        def verdict_of(page: Page) -> str:
            return "" if self.happened is None else known.get(id(page), "right")

        return [
            (
                format_utc_ms(page.fired_ms),
                format_utc_ms(page.resolved_ms) if page.resolved_ms else "",
                page.finding.severity.value,
                verdict_of(page),
                page.finding.summary,
            )
            for page in self.played.pages
        ]

    def facts(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "verdict": self.verdict(),
            "every_s": self.pace.every_s,
            "step_s": self.pace.step_s,
            "left_out": list(self.pace.left_out(self.rules)),
            "days": self.found.days,
            "recall": self.found.recall if self.happened is not None else None,
            "false_pages_per_day": self.found.false_per_day if self.happened is not None else None,
            "rules": [dict(zip(HEADER, row, strict=True)) for row in self.rows()],
            "incidents": [
                dict(zip(("kind", "at", "first_rule", "delay", "pages"), row, strict=True)) for row in self.incidents()
            ],
            "pages": [
                dict(zip(("at", "until", "severity", "verdict", "summary"), row, strict=True)) for row in self.pages()
            ],
            "inhibited": [
                {"rule": rule, "why": reason.value, "series": count}
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
        if self.happened is not None:
            header = ("incident", "at", "first rule", "after", "pages")
            parts += ["<h2>Incidents</h2>", _table(header, self.incidents(), numbers=(3, 4))]
        parts += ["<h2>Pages</h2>", _table(("at", "until", "severity", "verdict", "what"), self.pages())]
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
            for band in self.happened or ()
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
            f"<title>{escape(page.finding.summary)}</title></circle>"
            for page in self.played.pages
        ]
        legend = " · ".join(f'<span style="color:{_COLOURS[name]}">{name} a minute</span>' for name in _COLOURS)
        means_of = f", each point the mean of {step} minutes" if step > 1 else ""
        return (
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{"".join(drawn)}</svg>'
            f"<small>{legend} (each by its own scale{means_of}) · bands: what went wrong · dots: pages</small>"
        )


def report(
    rules: Rules,
    played: RehearsalResult,
    happened: Sequence[ActualIncident] | None,
    course: SaleTimeline,
    pace: RehearsalPace,
) -> Report:
    """Score the pages against the actual incidents."""
    total = Score()
    plain = {rule.name for rule in rules.rules if isinstance(rule.detect, ThresholdDetector | HealthCheckDetector)}
    score(total, played, happened or (), plain)
    return Report(played, happened, total, course, pace, rules)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int] = ()) -> str:
    def cells(row: Sequence[str], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=n' if i in numbers else ''}{' class=false' if cell == 'false' and tag == 'td' else ''}>"
            f"{escape(cell)}</{tag}>"
            for i, cell in enumerate(row)
        )

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f"<table><tr>{cells(header, 'th')}</tr>{body}</table>"
