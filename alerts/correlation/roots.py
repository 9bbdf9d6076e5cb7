"""Choose the roots of incidents: the breaches that page, because no other one explains them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from alerts.correlation.candidates import Candidate
from alerts.correlation.explanation import (
    LOSS_RATIO,
    STILL_RATIO,
    Effect,
    Relation,
    can_cause,
    explain_together,
    explains,
    fall_together,
    falls_further,
    relation,
)
from alerts.correlation.memory import CorrelationMemory
from alerts.correlation.sold_out import is_in_stock_again
from alerts.detection.schedule import EffectiveRule
from alerts.findings import FindingReason, Series
from alerts.rules.detect import SequentialDetector, StockDetector

YOUNG_MS = 30_000
"""Age from which the size of a breach is known well enough to separate it from an incident that may explain it."""


@dataclass(slots=True)
class Roots:
    """The roots among some candidates, and what they explain."""

    open: list[Candidate] = field(default_factory=list)
    explained_by: dict[Series, Series] = field(default_factory=dict)
    continues: dict[Series, Series] = field(default_factory=dict)
    """# root: the root whose page it continues"""
    released: set[Series] = field(default_factory=set)
    """Breaches that outlive the incident that explained them, of tests that can start again."""


def choose_roots(
    candidates: Sequence[Candidate], rules: Mapping[str, EffectiveRule], memory: CorrelationMemory, as_of_ms: int
) -> Roots:
    """Choose the roots among the candidates that nothing inhibits yet, given in the order of the rule file.

    A reported root stays one, until a wider breach takes over its page.
    """
    open_candidates = {candidate.series: candidate for candidate in candidates if candidate.is_root}
    reported = [open_candidates[series] for series in memory.reported if series in open_candidates]
    breached = {candidate.series for candidate in candidates}
    ended = [
        Effect(rules[series.rule].rule, extent, rules[series.rule].rule.incident_key)
        for series, extent in memory.roots.items()
        if series not in breached and series.rule in rules
    ]
    lasting = {candidate.series for candidate in candidates if not is_in_stock_again(candidate)}
    roots = Roots(open=reported)
    for candidate in open_candidates.values():
        if candidate.series not in memory.reported:
            outlived = _outlived_root(candidate, memory, lasting, rules)
            _explain_or_open(candidate, roots, ended, memory, as_of_ms, outlived)
    for candidate in roots.open:
        before = memory.continues.get(candidate.series)
        if before is not None:
            roots.continues.setdefault(candidate.series, before)
    return roots


def _outlived_root(
    candidate: Candidate,
    memory: CorrelationMemory,
    lasting: Collection[Series],
    rules: Mapping[str, EffectiveRule],
) -> Series | None:
    """The root that explained a breach of a sequential test until now, and whose incident is over."""
    by = memory.inhibited.get(candidate.series)
    if by is None or by in lasting or by in memory.faults:
        return None
    was_sold_out = by.rule in rules and isinstance(rules[by.rule].detect, StockDetector)
    if by in memory.roots and not was_sold_out:
        return None
    return by if isinstance(candidate.effective.detect, SequentialDetector) else None


def _explain_or_open(
    candidate: Candidate,
    roots: Roots,
    ended: Sequence[Effect],
    memory: CorrelationMemory,
    as_of_ms: int,
    outlived: Series | None,
) -> None:
    """Make a new candidate a root, or explain it by one; release it if it only outlives its root."""
    series, effect = candidate.series, candidate.effect
    by = _reported_cause(candidate, roots, memory)
    overtaken = [root for root in roots.open if _takes_over(effect, root.effect, root.series in memory.reported)]
    if by is None and not overtaken:
        by = _explaining_root(candidate, roots, memory)
    if by is not None:
        roots.explained_by[series] = by
        return
    if not overtaken and outlived is not None:
        roots.explained_by[series] = outlived
        roots.released.add(series)
        return
    for root in overtaken:
        roots.open.remove(root)
        roots.explained_by[root.series] = series
        if root.series in memory.reported:
            roots.continues.setdefault(series, root.series)
    if not overtaken and (suspect := _suspected_root(candidate, roots, as_of_ms)) is not None:
        roots.explained_by[series] = suspect
        return
    before = None if overtaken else _ended_root(candidate, ended, memory)
    if before is not None:
        if as_of_ms < before.extent.last_ms + _inhibit_for_ms(candidate) and not _takes_over(effect, before, True):
            roots.explained_by[series] = before.extent.series
            return
        roots.continues[series] = before.extent.series
    roots.open.append(candidate)


def _reported_cause(candidate: Candidate, roots: Roots, memory: CorrelationMemory) -> Series | None:
    """The reported root that explains the candidate, which then takes over no other root."""
    before = memory.inhibited.get(candidate.series)
    for root in roots.open:
        ratio = STILL_RATIO if before == root.series else LOSS_RATIO
        if root.series in memory.reported and explains(root.effect, candidate.effect, ratio):
            return root.series
    return None


def _explaining_root(candidate: Candidate, roots: Roots, memory: CorrelationMemory) -> Series | None:
    """The root of the incident that the candidate belongs to."""
    if candidate.breach.is_tracking_loss:
        for root in roots.open:
            kind = relation(root.series.labels, candidate.series.labels)
            if root.rule is candidate.rule and not root.breach.is_tracking_loss and kind is not Relation.SIBLING:
                return root.series  # events that are lost are not also unrecorded
    before = memory.inhibited.get(candidate.series)
    for root in roots.open:
        ratio = STILL_RATIO if before == root.series else LOSS_RATIO
        if _is_one_incident(root.effect, candidate.effect, ratio):
            return root.series
    for root in roots.open:
        if fall_together(root.effect, candidate.effect):
            return root.series
    largest = explain_together([root.effect for root in roots.open], candidate.effect)
    return None if largest is None else largest.extent.series


def _suspected_root(candidate: Candidate, roots: Roots, as_of_ms: int) -> Series | None:
    """A root that may explain a young breach, which seems too large: of many series and moments, those with the largest
    chance deviation are breached first."""
    if as_of_ms - candidate.extent.since_ms >= YOUNG_MS:
        return None
    for root in roots.open:
        kind = relation(root.series.labels, candidate.series.labels)
        if kind is not Relation.SIBLING and can_cause(root.effect, candidate.effect):
            return root.series
    return None


def _is_one_incident(one: Effect, other: Effect, ratio: float) -> bool:
    return explains(one, other, ratio) or explains(other, one, ratio)


def _ended_root(candidate: Candidate, ended: Sequence[Effect], memory: CorrelationMemory) -> Effect | None:
    """The root of an incident that has ended, to which the candidate still belongs."""
    before, own = memory.inhibited.get(candidate.series), memory.roots.get(candidate.series)
    for root in sorted(ended, key=lambda root: root.extent.series != before):  # first the one that explained it
        if own is not None and own.last_ms >= root.extent.last_ms:
            continue  # it was a root itself since then
        if before == root.extent.series and _is_one_incident(root, candidate.effect, math.inf):
            return root  # as the incident ends, the falls are no measure
        if explains(root, candidate.effect) or _takes_over(candidate.effect, root, True):
            return root
    return None


def _takes_over(new: Effect, root: Effect, is_reported: bool) -> bool:
    """Whether a new breach replaces a root: the whole shop a part, its cause of another kind or with a far larger fall,
    or the part that explains it. A reported whole is not replaced by a part, because what remains when an incident ends
    is noise that falls to some part."""
    if not explains(new, root) or explains(root, new):
        return False
    match relation(root.labels, new.labels):
        case Relation.OF_PART:
            return True
        case Relation.IN_WHOLE:
            return not is_reported
        case kind:
            is_larger = kind is Relation.SAME and falls_further(new, root)
            return is_larger or root.incident_key in new.rule.causes


def _inhibit_for_ms(candidate: Candidate) -> int:
    return round(candidate.rule.inhibit_for * 1000)


def inhibited(candidate: Candidate, roots: Roots) -> Candidate:
    """Return the candidate as inhibited by the root that explains it, if one does."""
    by = roots.explained_by.get(candidate.series)
    if by is None:
        return candidate
    while by in roots.explained_by:
        by = roots.explained_by[by]
    reason = FindingReason.SAME_INCIDENT
    if by.rule == candidate.series.rule:
        kind = relation(by.labels, candidate.series.labels)
        reason = {Relation.IN_WHOLE: FindingReason.PARENT, Relation.OF_PART: FindingReason.CHILD}.get(kind, reason)
    return candidate.inhibited(reason, by)
