"""Detector of events that are not recorded: fewer are counted, and those that follow them have not fallen.

Sequential rules find this (`Breach.is_tracking_loss`); here it becomes a data fault, one for each part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from alerts.detection.detector import Breach, Observation, SeriesCounts
from alerts.detection.schedule import EffectiveRule
from alerts.findings import FindingReason, Labels, Series
from alerts.rules.detect import SequentialDetector
from alerts.rules.rule import Rule

evaluated_first = False


@dataclass(slots=True)
class TrackingMemory:
    """Memory of a rule about tracking: sequential rules have it all."""


def signature(rule: Rule) -> str:
    """Identify the memory's content."""
    return "tracking"


def new_memory(rule: Rule) -> TrackingMemory:
    """Create an empty memory."""
    return TrackingMemory()


def observe(memory: TrackingMemory, effective: EffectiveRule, observation: Observation) -> None:
    """Do nothing: sequential rules observe."""


def breaches(memory: TrackingMemory, effective: EffectiveRule, observation: Observation) -> Iterator[Breach]:
    """Yield nothing: see `tracking_losses`."""
    yield from ()


def tracking_losses(
    effective: EffectiveRule, found: Sequence[Breach], rules: Mapping[str, EffectiveRule]
) -> Iterator[Breach]:
    """Yield the tracking losses that sequential rules have found, one for each part, as breaches of this rule."""
    rule, seen = effective.rule, set[Labels]()
    for breach in found:
        scope, value = breach.label
        detect = rules[breach.rule].detect
        if not breach.is_tracking_loss or not isinstance(detect, SequentialDetector) or breach.labels in seen:
            continue
        if scope not in rule.for_each or (rule.values and value not in rule.values):
            continue
        seen.add(breach.labels)
        yield replace(
            breach,
            rule=rule.name,
            reason=FindingReason.EVIDENCE,
            is_note=False,
            is_tracking_loss=False,
            money_per_minute=None,
            money_lost=None,
            numbers=_numbers(breach, detect),
            share=0.0,
        )


def _numbers(breach: Breach, detect: SequentialDetector) -> str:
    events = " and ".join(name.replace("_", " ") for name in detect.count)
    kept = breach.value / breach.expected if breach.value is not None and breach.expected else 0.0
    return f"{100 * (1 - kept):.0f} % fewer {events} than usual, and what follows them has not fallen"


def status(memory: TrackingMemory, effective: EffectiveRule, series: Series) -> tuple[FindingReason, float | None]:
    """Return why a series is not breached."""
    return FindingReason.WITHIN, None


def counts(memory: TrackingMemory, effective: EffectiveRule) -> SeriesCounts:
    """Count nothing: sequential rules have the series."""
    return SeriesCounts(0, is_complete_without_series=True)
