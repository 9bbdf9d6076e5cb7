"""Who goes on with whose page: an incident that turns out to be more than was told at first is the same incident."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from alerts.evaluation.calendar import InForce
from alerts.findings import Series
from alerts.verdicts.cases import Case, root, siblings


def telling(cases: Sequence[Case]) -> dict[str, Series]:
    """What tells of each incident (key) now."""
    return {case.now.rule.family: case.series for case in cases if case.stands and case.now.rule.incident}


def lasting(cases: Sequence[Case], before: Mapping[str, tuple[Series, int]]) -> dict[str, tuple[Series, int]]:
    """Incidents (key) that are told of now: by what, and since when they have been wrong. `before`: the last answer."""
    found: dict[str, tuple[Series, int]] = {}
    for case in cases:
        family, since_ms = case.now.rule.family, case.judged.since_ms
        if not case.stands or not case.now.rule.incident or since_ms is None:
            continue
        known = [held[1] for held in (before.get(family), found.get(family)) if held is not None]
        found[family] = (case.series, min([since_ms, *known]))
    return found


def gives_way(case: Case, to: Series, by_series: Mapping[Series, Case]) -> bool:
    """Whether another tells of it in its place, in the end."""
    return not case.stands and root(case, by_series) == to


def continuing(
    cases: Sequence[Case],
    rules: Mapping[str, InForce],
    told: Collection[Series],
    last: Mapping[str, tuple[Series, int]],
    before: Mapping[Series, Series],
) -> dict[Series, Series]:
    """What stands now, with what told of the same incident before it: that is held back by it now, or right again.

    What is right again is not continued by another value of its dimension: that is an incident of its own.

    `told`: what was told of until now; `last`: what told of an incident (key) lately, though it be right again;
    `before`: the answer of the last evaluation.
    """
    by_series = {case.series: case for case in cases}
    standing = {case.series: case for case in cases if case.stands}
    found = {series: other for series, other in before.items() if series in standing}
    for series, case in standing.items():
        if series in told or not case.now.rule.incident:
            continue
        for other in told:
            held = by_series.get(other)
            if (
                (not siblings(series, other) if held is None else gives_way(held, series, by_series))
                and other.rule in rules
                and rules[other.rule].rule.family == case.now.rule.family
            ):
                found[series] = other
                break
        else:
            other, _ = last.get(case.now.rule.family, (series, 0))
            if other != series and other not in by_series and not siblings(series, other):
                found[series] = other
    return found
