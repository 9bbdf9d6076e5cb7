"""Breaches with a size, and the pages that they cause."""

from __future__ import annotations

from dataclasses import dataclass, field

from alerts.correlation.correlate import correlate
from alerts.correlation.memory import CorrelationMemory
from alerts.detection.detector import Breach, RevenueRate
from alerts.detection.schedule import EffectiveRule
from alerts.detection.series import WHOLE_SHOP, to_labels
from alerts.findings import Condition, ExpectedRange, Finding, FindingReason
from alerts.rules.detect import SequentialDetector
from alerts.rules.loader import default_text, load

RULES = {
    rule.name: EffectiveRule(rule, True, rule.severity, rule.detect)
    for rule in load(default_text(), "default").rules.rules
}
GMV_PER_MINUTE = 1_000_000.0
SHARES = {
    "app": 0.5,
    "mini": 0.25,
    "web": 0.15,
    "live": 0.1,
    "west": 0.12,
    "south": 0.25,
    "east": 0.35,
    "beauty": 0.16,
    "phones": 0.22,
}
"""# value: its share of the shop's revenue"""
_RATE = 0.5
_ERROR = 0.02


def breach(rule: str, where: str = "", *, fall: float, at_s: int = 0) -> Breach:
    """A breach of a sequential rule, where `fall` of the usual events of `channel app` (or the whole shop) are missing
    since `at_s`. Payments fail as often as they are missing."""
    label = WHOLE_SHOP if not where else (where.split()[0], where.split()[1])
    detect = RULES[rule].detect
    value, expected = _RATE * (1 - fall), _RATE
    if isinstance(detect, SequentialDetector) and rule == "payment-failures":
        expected, value = 0.08, 0.08 + 0.92 * fall
    return Breach(
        rule,
        label,
        to_labels(label),
        FindingReason.EVIDENCE,
        value=value,
        expected=expected,
        interval=ExpectedRange(expected - _ERROR, expected + _ERROR),
        since_ms=1000 * at_s,
        money_per_minute=GMV_PER_MINUTE * fall * (SHARES[label[1]] if where else 1.0),
    )


@dataclass(slots=True)
class Correlated:
    """A sale of scripted breaches: what is not inhibited, and what each evaluation adds as a page."""

    memory: CorrelationMemory = field(default_factory=CorrelationMemory)
    findings: dict[str, Finding] = field(default_factory=dict)
    """Of the last evaluation."""
    pages: list[str] = field(default_factory=list)
    """Those that began, and continue no other page, in order."""

    def at(self, second: int, *breaches: Breach, silent_topics: frozenset[str] = frozenset()) -> list[str]:
        """Evaluate; return the series that are not inhibited."""
        places = {name: place for place, name in enumerate(RULES)}
        ordered = sorted(breaches, key=lambda one: places[one.rule])
        shop = RevenueRate(seconds=60.0, gmv=GMV_PER_MINUTE, paid=100.0)
        result = correlate(ordered, RULES, self.memory, shop, 1000 * second, silent_topics)
        before = {name for name, one in self.findings.items() if one.condition is Condition.BREACHED}
        self.findings = {str(finding.series): finding for finding in result.findings}
        standing = [name for name, one in self.findings.items() if one.condition is Condition.BREACHED]
        self.pages += [name for name in standing if name not in before and self.findings[name].continues is None]
        return standing
