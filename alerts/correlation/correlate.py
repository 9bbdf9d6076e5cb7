"""Weighs all that is wrong: what explains what, so that one incident is one page.

In this order:

1. **Data faults** first: business findings that rest on the same topics are held back, and for three minutes after, for
   numbers of those minutes are wrong too. What had already been told before the fault goes on.
2. **Causes**: what a rule says that it `causes` is held back while it lasts, and for ten minutes after.
3. **The whole and its parts**, rule by rule: where the whole shop is wrong its parts are held back, unless one part
   explains it (`contributors.one_part`): then that part tells of it and the whole is held back.
4. **One incident, many rules**: of rules with the same `incident` the first to tell leads; the others are held back.
   A value of the same dimension beside it is an incident of its own, but not where both are parts of a whole that is
   watched too and began within five minutes of each other. What concerns the whole shop and costs half as much again,
   or where nothing is known of what either costs, takes over from what concerned a part.

What takes over from another that was told of continues it: it is the same page with another text (`succession`). What
3 and 4 hold back stays so after what told of it is right again, for as long as its rule's `wake`: the end of an
incident reaches some tests later than others. What the sequential tests have seen while an incident was told of is
explained by it: as it ends (`over`) they begin anew, so that no page about what is past follows it. Then each finding
gets its severity, by the money that it loses, and its words.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from alerts.correlation.cases import TOGETHER_MS, Case, VerdictMemory, root, siblings
from alerts.correlation.summary import chart, summary
from alerts.detection.breach import Judged
from alerts.detection.revenue import Takings
from alerts.detection.schedule import InForce
from alerts.detection.series import ALL
from alerts.findings import SEVERITY_ORDER, Finding, Owner, Reason, Series, Severity
from alerts.rules.detect import Silence
from alerts.rules.rule import Each, Rule
from consumers.topics import EVENT_TOPICS, Topic


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


AFTER_FAULT_MS = 180_000
AFTER_LEADER_MS = 600_000
_TAKES_OVER = 1.5


def faulty_topics(judged: Sequence[Judged], rules: Mapping[str, InForce], unheard: frozenset[str]) -> dict[str, Series]:
    """The topics that data faults make untrustworthy, and by which. `unheard`: topics of which no producer is heard;
    that is no fault of one producer."""
    found: dict[str, Series] = {}
    for one in judged:
        rule = rules[one.rule].rule
        if rule.owner is not Owner.DATA:
            continue
        labels = dict(one.labels)
        if "source" in labels and labels.get("topic") in unheard:
            continue
        topics: Collection[str] = (labels["topic"],) if "topic" in labels else EVENT_TOPICS
        if rule.explains is not None:
            topics = rule.explains
        for topic in topics:
            found.setdefault(str(topic), Series(one.rule, one.labels))
    return found


def decide(
    judged: Sequence[Judged],
    rules: Mapping[str, InForce],
    memory: VerdictMemory,
    shop: Takings,
    as_of_ms: int,
    unheard: frozenset[str] = frozenset(),
) -> list[Finding]:
    """The findings, worst first. `judged` is in the order of the rule file."""
    for topic, fault in faulty_topics(judged, rules, unheard).items():
        memory.faulty[topic] = (fault, as_of_ms + AFTER_FAULT_MS)
    memory.faulty = {topic: held for topic, held in memory.faulty.items() if held[1] > as_of_ms}
    cases = [Case(one, rules[one.rule], Series(one.rule, one.labels), one.reason) for one in judged]
    cases = _by_standstill([_by_fault(case, memory) for case in cases], memory, unheard)
    cases = _by_cause(cases, memory, as_of_ms)
    memory.held = {series: held for series, held in memory.held.items() if held[1] > as_of_ms}
    cases = _by_whole(cases, memory)
    _let_go(cases, memory)
    cases = _by_incident(cases, memory, as_of_ms)
    cases = _in_the_wake(cases, memory, as_of_ms)
    memory.last = {incident: held for incident, held in memory.last.items() if held[1] > as_of_ms}
    memory.continues = continuing(cases, rules, memory.told, memory.last, memory.continues)
    lasting_now = lasting(cases, memory.lasts)
    memory.over = {
        family: held
        for family, held in memory.lasts.items()
        if family not in lasting_now and held[0].rule in rules and rules[held[0].rule].enabled
    }
    memory.lasts = lasting_now
    memory.last |= {family: (series, as_of_ms + AFTER_LEADER_MS) for family, series in telling(cases).items()}
    findings = [_finding(case, memory, shop, as_of_ms) for case in cases]
    memory.told = {found.series: found.severity for found in findings if found.held_by is None}
    return sorted(findings, key=order)


def order(finding: Finding) -> tuple[int, int, float, str]:
    """What stands before what is held back, then the worst, then the dearest."""
    return (
        int(finding.held_by is not None),
        SEVERITY_ORDER[finding.severity],
        -float(finding.money_per_minute or 0),
        str(finding.series),
    )


def _by_fault(case: Case, memory: VerdictMemory) -> Case:
    rule = case.now.rule
    if rule.owner is Owner.DATA or case.series in memory.told:
        return case
    for topic in sorted(rule.topics):
        if topic in memory.faulty:
            return case.behind(Reason.DATA_FAULT, memory.faulty[topic][0])
    return case


def _by_standstill(cases: Sequence[Case], memory: VerdictMemory, unheard: frozenset[str]) -> list[Case]:
    """Where a whole topic stands still, that is one incident: not one of each of its producers."""
    behind: dict[Series, Series] = {}
    for topic in unheard:
        mine = [case for case in cases if case.stands and {"source", "topic"} <= dict(case.series.labels).keys()]
        mine = [case for case in mine if dict(case.series.labels)["topic"] == topic]
        whole = (case for case in cases if case.stands and _is_silence_of(case, topic))
        told = (case for case in mine if case.series in memory.told)
        leader = next(whole, None) or next(told, None) or next(iter(mine), None)
        if leader is not None:
            late = (case.series for case in mine if case is not leader and case.series not in memory.told)
            behind |= dict.fromkeys(late, leader.series)
    return [case.behind(Reason.SAME_INCIDENT, behind[case.series]) if case.series in behind else case for case in cases]


def _is_silence_of(case: Case, topic: str) -> bool:
    """Whether it tells that a whole topic brings nothing."""
    return isinstance(case.now.detect, Silence) and not case.series.labels and Topic(topic) in case.now.rule.topics


def _by_cause(cases: Sequence[Case], memory: VerdictMemory, as_of_ms: int) -> list[Case]:
    """What follows from an incident of another kind."""
    for case in cases:
        if case.stands:
            until = (case.series, as_of_ms + AFTER_LEADER_MS)
            memory.caused.update(dict.fromkeys(case.now.rule.causes, until))
    memory.caused = {incident: held for incident, held in memory.caused.items() if held[1] > as_of_ms}
    return [
        case.behind(Reason.SAME_INCIDENT, memory.caused[case.now.rule.family][0])
        if case.stands and case.now.rule.family in memory.caused and case.series not in memory.told
        else case
        for case in cases
    ]


def _by_whole(cases: Sequence[Case], memory: VerdictMemory) -> list[Case]:
    """Within each rule: the whole before its parts, or one part before all. A whole that is told of stays so: what is
    left when an incident ends is chance, and falls to some part."""
    wholes = {case.judged.rule: case for case in cases if case.judged.label == ALL}
    found = []
    for case in cases:
        whole = wholes.get(case.judged.rule)
        if whole is None or not case.stands:
            found.append(case)
            continue
        named = None if whole.series in memory.told else whole.judged.explained_by
        teller = Series(case.judged.rule, ((named[0], named[1]),)) if named else whole.series
        if case.series == teller:
            found.append(case)
        elif case is whole:
            found.append(case.behind(Reason.CHILD, teller))
        else:
            found.append(case.behind(Reason.SAME_INCIDENT if named else Reason.PARENT, teller))
    return found


def _let_go(cases: Sequence[Case], memory: VerdictMemory) -> None:
    """Forget of what held another back, and is held back by that now, that it holds it: else nobody would tell."""
    by_series = {case.series: case for case in cases}
    for series, (holder, _) in list(memory.held.items()):
        if holder in by_series and gives_way(by_series[holder], series, by_series):
            del memory.held[series]


def _by_incident(cases: Sequence[Case], memory: VerdictMemory, as_of_ms: int) -> list[Case]:
    """Across rules: one of them leads."""
    families: dict[str, list[Case]] = {}
    for case in cases:
        if case.stands and case.now.rule.incident and case.series not in memory.held:
            families.setdefault(case.now.rule.family, []).append(case)
    leaders, behind = dict[str, Series](), dict[Series, Series]()
    for family, members in families.items():
        first = next((case for case in members if case.series == memory.leaders.get(family)), members[0])
        leader = _leader(first, members)
        leaders[family] = leader.series
        behind |= {case.series: leader.series for case in members if not _on_its_own(case, leader, as_of_ms)}
    memory.leaders = leaders
    return [case.behind(Reason.SAME_INCIDENT, behind[case.series]) if case.series in behind else case for case in cases]


def _in_the_wake(cases: Sequence[Case], memory: VerdictMemory, as_of_ms: int) -> list[Case]:
    """What was held back lately by what is right again, and what is held back now.

    Only what tells of it now makes this last longer: once that is right, it ends after the rule's `wake`.
    """
    found = []
    for case in cases:
        held = memory.held.get(case.series)
        if case.stands and held is not None and case.series not in memory.told:
            case = case.behind(Reason.SAME_INCIDENT, held[0])
        found.append(case)
    by_series = {case.series: case for case in found}
    for case in found:
        teller = by_series.get(root(case, by_series))
        if case.held_by is not None and case.reason is not Reason.DATA_FAULT and teller is not None and teller.stands:
            memory.held[case.series] = (teller.series, as_of_ms + round(case.now.rule.wake * 1000))
    return found


def _leader(first: Case, fresh: Sequence[Case]) -> Case:
    """The first, unless it concerns a part and the whole shop is losing far more, as far as that is known."""
    if not first.judged.labels:
        return first
    return next((case for case in fresh if not case.judged.labels and _costs_more(case, first)), first)


def _costs_more(whole: Case, part: Case) -> bool:
    lost, less = whole.judged.money_per_minute, part.judged.money_per_minute
    return (lost is None and less is None) or (lost or 0.0) > (less or 0.0) * _TAKES_OVER


def _on_its_own(case: Case, leader: Case, as_of_ms: int) -> bool:
    if case.series == leader.series:
        return True
    if not siblings(case.series, leader.series):
        return False
    of_a_whole = Each.ALL in case.now.rule.for_each
    return not of_a_whole or abs(case.since_ms(as_of_ms) - leader.since_ms(as_of_ms)) >= TOGETHER_MS


def _finding(case: Case, memory: VerdictMemory, shop: Takings, as_of_ms: int) -> Finding:
    judged, rule = case.judged, case.now.rule
    money = judged.money_per_minute
    return Finding(
        series=case.series,
        reason=case.reason,
        severity=_severity(case, memory, shop),
        owner=rule.owner,
        as_of_ms=as_of_ms,
        since_ms=judged.since_ms,
        unit=judged.unit,
        value=judged.value,
        expected=judged.expected,
        interval=judged.interval,
        money_per_minute=None if money is None else round(money),
        contributors=judged.contributors,
        held_by=case.held_by,
        continues=memory.continues.get(case.series),
        incident=rule.family,
        title=rule.title,
        summary=summary(rule, judged),
        runbook=rule.runbook,
        chart=chart(rule, judged, as_of_ms),
    )


def _severity(case: Case, memory: VerdictMemory, shop: Takings) -> Severity:
    """The rule's, or critical for its loss; never less than it was while it has been told."""
    rule, money, severity = case.now.rule, case.judged.money_per_minute, case.now.severity
    if rule.critical_from is not None and money is not None and money >= rule.critical_from * shop.gmv_per_minute:
        severity = Severity.CRITICAL
    told = (memory.told.get(one, severity) for one in (case.series, memory.continues.get(case.series, case.series)))
    return min(severity, *told, key=SEVERITY_ORDER.__getitem__)


def plain(
    rule: Rule, series: Series, reason: Reason, severity: Severity, as_of_ms: int, value: float | None
) -> Finding:
    """A finding that nothing is wrong, or that it cannot be said. `value`: what is measured."""
    return Finding(
        series=series,
        reason=reason,
        severity=severity,
        owner=rule.owner,
        as_of_ms=as_of_ms,
        since_ms=None,
        unit=Judged(rule.name, ALL, (), reason).unit,
        value=value,
        expected=None,
        interval=None,
        money_per_minute=None,
        contributors=(),
        held_by=None,
        incident=rule.family,
        title=rule.title,
        summary=rule.title,
        runbook=rule.runbook,
        chart=None,
    )
