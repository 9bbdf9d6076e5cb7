"""The status of a rule, from its findings and its detector's counts."""

from __future__ import annotations

from collections.abc import Sequence

from alerts.detection.detector import SeriesCounts
from alerts.detection.schedule import EffectiveRule
from alerts.detection.series import MAX_SERIES
from alerts.findings import Condition, Finding, FindingReason, Series
from alerts.rule_states import RuleCondition, RuleStatus
from alerts.rules.rule import PromotionCondition, Rule, RuleScope

_AT_LIMIT = f"series beyond the first {MAX_SERIES:,}, which are not watched"


def disabled_status(rule: Rule) -> RuleStatus:
    """The status of a rule that is not in force."""
    return RuleStatus(rule=rule.name, title=rule.title, condition=RuleCondition.OFF, lacks=_needed(rule))


def rule_status(
    effective: EffectiveRule,
    counts: SeriesCounts,
    findings: Sequence[Finding],
    faults: Sequence[Series],
    *,
    is_at_limit: bool = False,
) -> RuleStatus:
    """The status of an enabled rule, of which `findings` are all. `faults` make its numbers unreliable; at the limit,
    it watches no further series."""
    rule = effective.rule
    learning = counts.undecided.get(FindingReason.LEARNING, 0)
    no_data = sum(
        number
        for reason, number in counts.undecided.items()
        if reason in (FindingReason.NO_DATA, FindingReason.TOO_FEW)
    )
    inhibited_by = {
        str(finding.inhibited_by)
        for finding in findings
        if finding.condition is Condition.INHIBITED and finding.inhibited_by is not None
    }
    inhibited_by |= {str(fault) for fault in faults}
    if inhibited_by and not any(finding.condition is Condition.BREACHED for finding in findings):
        condition = RuleCondition.INHIBITED
    elif counts.decided or counts.is_complete_without_series:
        condition = RuleCondition.WATCHING
    else:
        condition = RuleCondition.LEARNING if learning else RuleCondition.NO_DATA
    return RuleStatus(
        rule=rule.name,
        title=rule.title,
        condition=condition,
        lacks=_AT_LIMIT if is_at_limit else counts.lacks or _missing(rule, condition),
        inhibited_by=tuple(sorted(inhibited_by)),
        watching=counts.decided,
        learning=learning,
        no_data=no_data,
    )


def _missing(rule: Rule, condition: RuleCondition) -> str:
    if condition is not RuleCondition.NO_DATA:
        return ""
    if RuleScope.ALL in rule.for_each:
        return "no numbers yet"
    scopes = " or ".join(scope.value for scope in rule.for_each)
    return f"no {scopes} on promotion" if rule.promoted else f"no {scopes} yet"


def _needed(rule: Rule) -> str:
    """What a rule that is off needs to be in force."""
    if not rule.enabled:
        return "disabled by `enabled`, or because its topic is not in the as-of"
    return f"applies {_when(rule.when)}" if rule.when != PromotionCondition() else "disabled by one of its overrides"


def _when(condition: PromotionCondition) -> str:
    if condition.running is False:
        return "while no promotion is running"
    which = " or ".join(condition.promotions) or "a promotion"
    phases = f" in phase {' or '.join(condition.phases)}" if condition.phases else ""
    first = f", in its first {condition.first:g} s" if condition.first is not None else ""
    return f"while {which} is running{phases}{first}"
