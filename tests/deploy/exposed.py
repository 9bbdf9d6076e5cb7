"""The series that queries may use."""

from __future__ import annotations

import re

from tests.deploy.files import REPOSITORY, recorded

_HISTOGRAM_PARTS = ("_bucket", "_count", "_sum")
OTHERS = {
    "up",
    "scrape_samples_scraped",
    "scrape_duration_seconds",
    "ALERTS",
    "prometheus_rule_evaluation_failures_total",
    "prometheus_notifications_alertmanagers_discovered",
    "prometheus_notifications_errors_total",
    "alertmanager_notifications_failed_total",
}
"""Metrics of Prometheus and Alertmanager that queries use."""
_WORDS = {
    "job",
    "instance",
    "and",
    "or",
    "unless",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "offset",
    "bool",
}
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_NAME = re.compile(r"(?<![\w:$])([a-zA-Z_][\w:]*)(?![\w:]*\s*\()")


def metrics(*sections: str) -> set[str]:
    """Names of all exposed metrics, or those of some sections, from the generated reference."""
    text = (REPOSITORY / "docs" / "reference" / "metrics.md").read_text()
    if sections:
        text = "\n".join(part for part in text.split("\n## ") if part.startswith(tuple(f"{one}\n" for one in sections)))
    names = set(re.findall(r"^\| `(salepulse_\w+)` \|", text, re.MULTILINE))
    histograms = set(re.findall(r"^\| `(salepulse_\w+)` \| histogram", text, re.MULTILINE))
    return names - histograms | {name + part for name in histograms for part in _HISTOGRAM_PARTS}


def known() -> set[str]:
    """Every name that a query may use."""
    return metrics() | recorded() | OTHERS


def named(expression: str) -> set[str]:
    """The metric names in a PromQL expression, which is written as ours are."""
    bare = _STRING.sub('""', expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    return {name for name in _NAME.findall(bare) if name not in _WORDS and not name.startswith("__")}
