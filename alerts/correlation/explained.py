"""The series that each finding explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from alerts.findings import MAX_EXPLAINED, Contributor, ExplainedSeries, Finding, FindingReason, Series

_MAX_CHAIN = 3
"""Maximum length of a chain of inhibitions."""


def with_explained(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings; each one that is not inhibited names those that it inhibits, directly or in a chain.

    A part that explains the change of its whole has the contributors of the whole.
    """
    inhibited_by = {finding.series: finding.inhibited_by for finding in findings if finding.inhibited_by is not None}
    if not inhibited_by:
        return list(findings)
    explained: dict[Series, list[ExplainedSeries]] = {}
    contributors: dict[Series, tuple[Contributor, ...]] = {}
    for finding in findings:
        if finding.inhibited_by is not None:
            root = _root(finding.series, inhibited_by)
            if finding.reason is FindingReason.CHILD:
                contributors[root] = finding.contributors
            of_root = explained.setdefault(root, [])
            if len(of_root) < MAX_EXPLAINED:
                of_root.append(ExplainedSeries(finding.series, finding.title))
    return [
        replace(
            finding,
            explains=tuple(explained[finding.series]),
            contributors=finding.contributors or contributors.get(finding.series, ()),
        )
        if finding.series in explained
        else finding
        for finding in findings
    ]


def _root(series: Series, inhibited_by: dict[Series, Series]) -> Series:
    for _ in range(_MAX_CHAIN):
        if series not in inhibited_by:
            break
        series = inhibited_by[series]
    return series
