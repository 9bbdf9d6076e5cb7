"""Data faults inhibit the business alerts that they can account for.

A fault accounts for a fall on its own topics, that begins in its own time, and is no larger than the share of the
events that it loses. Rejected messages lose their share, a silent producer its usual share of the topic. Repeated
messages lose nothing, and neither does a past loss of records, which is reported until an operator clears it. Where
the share is unknown, as with partitions that are behind, the numbers are unreliable.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from alerts.correlation.candidates import Candidate
from alerts.correlation.explanation import (
    LOSS_RATIO,
    ONSET_TOLERANCE_MS,
    PART_ONSET_TOLERANCE_MS,
    can_cause,
    explains,
    loss_from,
)
from alerts.correlation.memory import INHIBIT_AFTER_FAULT_MS, CorrelationMemory, DataFault
from alerts.detection.detector import Breach
from alerts.detection.schedule import EffectiveRule
from alerts.findings import Category, FindingReason, Labels, Series
from alerts.rules.detect import Direction, HealthCheck, HealthCheckDetector, SequentialDetector, SilenceDetector
from alerts.rules.rule import Rule
from alerts.rules.values import topics_of
from consumers.topics import EVENT_TOPICS, Topic

UNRELIABLE = 0.99
"""Lost share from which numbers are unreliable."""
LOSSY = 0.05
"""Lost share from which sequential tests learn nothing."""
_SHARE_RATIO, _SHARE_MARGIN = 1.25, 0.03
"""A fall is accounted for up to this multiple of the lost share, plus a number of points."""
_STILL_RATIO = 1.5
"""The multiple for an alert that was inhibited at the last evaluation."""
_TRACKING_FALL = 0.4
_TRACKING_AFTER_MS, _TRACKING_OF_WHOLE_AFTER_MS = 90_000, 105_000
_SUSPECTED_MS = 15_000
"""How long a suspected fault inhibits."""
_AT_ONCE_MS = 60_000
"""A part may lose more than the topic: a producer may serve this part alone. Its fall then begins with the fault."""


def is_tracking_fault(breach: Breach, as_of_ms: int) -> bool:
    """Whether clicks are lost whose orders continue, and the fall is large and lasts. A smaller one may be the end of a
    crowd. The whole shop waits for the part that explains it."""
    if not breach.is_tracking_loss or breach.value is None or not breach.expected or breach.since_ms is None:
        return False
    after_ms = _TRACKING_AFTER_MS if breach.labels else _TRACKING_OF_WHOLE_AFTER_MS
    return breach.value <= (1 - _TRACKING_FALL) * breach.expected and as_of_ms - breach.since_ms >= after_ms


def remember_faults(
    breaches: Iterable[Breach],
    rules: Mapping[str, EffectiveRule],
    silent_topics: Collection[str],
    memory: CorrelationMemory,
    as_of_ms: int,
) -> None:
    """Add the data faults to the memory. `silent_topics` have no active producer, which is not a fault of a single
    producer."""
    for breach in breaches:
        rule = rules[breach.rule].rule
        labels = dict(breach.labels)
        if rule.category is not Category.DATA or ("source" in labels and labels.get("topic") in silent_topics):
            continue
        topics = _topics(rule, labels)
        share = _share(rule, breach)
        if not topics or share <= 0:
            continue
        series = Series(breach.rule, breach.labels)
        since_ms = as_of_ms if breach.since_ms is None else breach.since_ms
        last_ms = as_of_ms - (INHIBIT_AFTER_FAULT_MS - _SUSPECTED_MS if breach.is_suspected else 0)
        fault = DataFault(topics, since_ms, last_ms, share, breach.is_suspected)
        before = memory.faults.get(series)
        if before is not None:
            fault = replace(
                fault,
                since_ms=min(since_ms, before.since_ms),
                last_ms=max(last_ms, before.last_ms),
                share=max(share, before.share),
                is_suspected=before.is_suspected and breach.is_suspected,
            )
        memory.faults[series] = fault


def _topics(rule: Rule, labels: Mapping[str, str]) -> tuple[str, ...]:
    topics: Collection[str] = (labels["topic"],) if "topic" in labels else EVENT_TOPICS
    if rule.explains is not None:
        topics = rule.explains
    return tuple(str(topic) for topic in topics)


def _share(rule: Rule, breach: Breach) -> float:
    """The lost share of the topic's events; 1 if it is unknown."""
    if breach.share is not None:
        return breach.share
    match rule.detect:
        case HealthCheckDetector(check=HealthCheck.REPEATED | HealthCheck.INCOMPLETE):
            return 0.0
        case HealthCheckDetector(check=HealthCheck.REFUSED):
            return 1.0 if breach.value is None else breach.value
        case _:
            return 1.0


def topics_at_fault(memory: CorrelationMemory, *, at_least: float) -> frozenset[str]:
    """Topics of the faults that lose at least this share."""
    return frozenset(topic for fault in memory.faults.values() if fault.share >= at_least for topic in fault.topics)


def blinding_faults(rule: Rule, memory: CorrelationMemory) -> tuple[Series, ...]:
    """The faults that make all numbers of a business rule unreliable."""
    topics = {str(topic) for topic in rule.topics} if rule.category is not Category.DATA else set()
    return tuple(
        series
        for series, fault in memory.faults.items()
        if fault.share >= UNRELIABLE and not topics.isdisjoint(fault.topics)
    )


def inhibit_by_data_faults(candidates: Sequence[Candidate], memory: CorrelationMemory) -> list[Candidate]:
    """Inhibit the business alerts that data faults account for, unless they were reported before."""
    reported = [
        candidate
        for candidate in candidates
        if candidate.series in memory.reported and candidate.rule.category is not Category.DATA
    ]
    return [_inhibit(candidate, memory, reported) for candidate in candidates]


def _inhibit(candidate: Candidate, memory: CorrelationMemory, reported: Sequence[Candidate]) -> Candidate:
    if candidate.rule.category is Category.DATA or candidate.series in memory.reported:
        return candidate
    also_lost = _lost_by_others(candidate, reported)
    is_older = also_lost > 0 or memory.inhibited.get(candidate.series) in memory.faults
    faults = [
        (series, fault)
        for series, fault in memory.faults.items()
        if _may_affect(fault, candidate, may_be_older=is_older)
    ]
    is_same_loss = candidate.breach.is_tracking_loss  # of a producer that has a fault
    if not faults or not (is_same_loss or _accounts_for(dict(faults), candidate, memory, also_lost)):
        return candidate
    series, _ = max(faults, key=lambda one: one[1].share)
    return candidate.inhibited(FindingReason.DATA_FAULT, series)


def _lost_by_others(candidate: Candidate, reported: Sequence[Candidate]) -> float:
    """Share of the candidate's events that reported alerts lose, unless one explains it alone."""
    causes = [other.effect for other in reported if can_cause(other.effect, candidate.effect)]
    if any(explains(cause, candidate.effect) for cause in causes):
        return 0.0
    return sum(loss_from(cause, candidate.effect) for cause in causes)


def _may_affect(fault: DataFault, candidate: Candidate, *, may_be_older: bool) -> bool:
    """Whether it is a fault of the topics, and of the time, that the breach depends on. A breach that a reported
    alert explains in part, or that a fault explained until now, `may_be_older`."""
    topics = candidate.rule.topics if fault.share >= UNRELIABLE else _lossy_topics(candidate.rule)
    tolerance_ms = PART_ONSET_TOLERANCE_MS if candidate.series.labels else ONSET_TOLERANCE_MS
    in_time = may_be_older or candidate.extent.since_ms >= fault.since_ms - tolerance_ms
    return in_time and bool(topics & set(fault.topics))


def _lossy_topics(rule: Rule) -> frozenset[Topic]:
    """The topics whose lost events can breach the rule: a ratio falls with what is counted."""
    detect = rule.detect
    if isinstance(detect, SequentialDetector) and detect.direction is Direction.DROP:
        return frozenset[Topic]().union(*map(topics_of, detect.count))
    return rule.topics


def _accounts_for(
    faults: Mapping[Series, DataFault], candidate: Candidate, memory: CorrelationMemory, also_lost: float
) -> bool:
    """Whether the faults, and reported alerts that lose `also_lost`, account for the fall."""
    share = _lost_share(faults)
    if share >= UNRELIABLE:
        return True
    extent = candidate.extent
    if extent.fall is None:
        return False
    ratio = _STILL_RATIO if memory.inhibited.get(candidate.series) in memory.faults else _SHARE_RATIO
    most = ratio * share + _SHARE_MARGIN + LOSS_RATIO * also_lost
    begins_with_fault = any(abs(extent.since_ms - fault.since_ms) <= _AT_ONCE_MS for fault in faults.values())
    of_part = bool(candidate.series.labels) and extent.loss is not None and extent.loss <= most
    return not extent.exceeds(most) or (of_part and begins_with_fault and not extent.has_grown)


def _lost_share(faults: Mapping[Series, DataFault]) -> float:
    """The share that several faults lose together; two rules about one producer report the same loss."""
    by_labels: dict[Labels, float] = {}
    for series, fault in faults.items():
        by_labels[series.labels] = max(by_labels.get(series.labels, 0.0), fault.share)
    return min(sum(by_labels.values()), 1.0)


def inhibit_by_silent_topics(
    candidates: Sequence[Candidate], memory: CorrelationMemory, silent_topics: Collection[str]
) -> list[Candidate]:
    """A silent topic is one incident, not one for each of its producers."""
    inhibited: dict[Series, Series] = {}
    for topic in silent_topics:
        of_topic = [
            candidate
            for candidate in candidates
            if candidate.is_root and {"source", "topic"} <= dict(candidate.series.labels).keys()
        ]
        of_topic = [candidate for candidate in of_topic if dict(candidate.series.labels)["topic"] == topic]
        whole = (candidate for candidate in candidates if candidate.is_root and _is_silence_of(candidate, topic))
        reported = (candidate for candidate in of_topic if candidate.series in memory.reported)
        leader = next(whole, None) or next(reported, None) or next(iter(of_topic), None)
        if leader is not None:
            others = (
                candidate.series
                for candidate in of_topic
                if candidate is not leader and candidate.series not in memory.reported
            )
            inhibited |= dict.fromkeys(others, leader.series)
    return [
        candidate.inhibited(FindingReason.SAME_INCIDENT, inhibited[candidate.series])
        if candidate.series in inhibited
        else candidate
        for candidate in candidates
    ]


def _is_silence_of(candidate: Candidate, topic: str) -> bool:
    """Whether the candidate reports the silence of a whole topic."""
    return (
        isinstance(candidate.effective.detect, SilenceDetector)
        and not candidate.series.labels
        and Topic(topic) in candidate.rule.topics
    )
