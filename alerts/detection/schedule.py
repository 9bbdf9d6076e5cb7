"""The rules and overrides that apply at a moment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from alerts.findings import Severity
from alerts.rules.detect import AnyDetector
from alerts.rules.rule import PromotionCondition, Rule
from consumers.contract.events import Promotion
from streams.model.promotions import RunState, phase_at, run_state

_ALWAYS = PromotionCondition()


@dataclass(frozen=True, slots=True)
class EffectiveRule:
    """A rule with the overrides that apply at a moment."""

    rule: Rule
    enabled: bool
    severity: Severity
    detect: AnyDetector

    def severity_of_loss(self, money_per_minute: float | None, gmv_per_minute: float) -> Severity:
        """The severity of a loss; both in minor units of GMV per minute, the second is the whole shop's. The rule's own
        severity where one of them is unknown, and before the shop's first GMV."""
        if money_per_minute is None or math.isnan(money_per_minute) or not gmv_per_minute > 0:
            return self.severity
        rule = self.rule
        if rule.critical_from is not None and money_per_minute >= rule.critical_from * gmv_per_minute:
            return Severity.CRITICAL
        if rule.warning_from is not None and money_per_minute < rule.warning_from * gmv_per_minute:
            return Severity.INFO
        return self.severity


def running_promotions(promotions: Mapping[str, Promotion], at_ms: int) -> list[Promotion]:
    """The running promotions by id."""
    return [promotion for _, promotion in sorted(promotions.items()) if run_state(promotion, at_ms) is RunState.RUNNING]


def promoted_skus(
    promotions: Mapping[str, Promotion], at_ms: int, best_sellers: frozenset[str] = frozenset()
) -> frozenset[str]:
    """The SKUs of the running promotions; the best sellers for a promotion that lists none."""
    listed = frozenset(sku for promotion in running_promotions(promotions, at_ms) for sku in promotion.skus or ())
    return listed | best_sellers if promotes_all_skus(promotions, at_ms) else listed


def promotes_all_skus(promotions: Mapping[str, Promotion], at_ms: int) -> bool:
    """Whether a promotion without a list of SKUs is running."""
    return any(not promotion.skus for promotion in running_promotions(promotions, at_ms))


def is_met(when: PromotionCondition, promotions: Mapping[str, Promotion], at_ms: int) -> bool:
    """Whether a condition on promotions is met at a moment (epoch ms)."""
    running = running_promotions(promotions, at_ms)
    if when.running is False:
        return not running
    if when == _ALWAYS:
        return True
    for promotion in running:
        if when.promotions and promotion.promotion_id not in when.promotions:
            continue
        phase = phase_at(promotion, at_ms)
        if when.phases and (phase is None or phase.name not in when.phases):
            continue
        began_ms = phase.starts_at if when.phases and phase else promotion.starts_at
        if when.first is None or at_ms - began_ms < when.first * 1000:
            return True
    return False


def effective_rule(rule: Rule, promotions: Mapping[str, Promotion], at_ms: int) -> EffectiveRule:
    """Return the rule with the overrides that apply at a moment (epoch ms)."""
    met = frozenset(i for i, during in enumerate(rule.during) if is_met(during.when, promotions, at_ms))
    enabled, severity = rule.enabled and is_met(rule.when, promotions, at_ms), rule.severity
    for i in sorted(met):
        during = rule.during[i]
        enabled = enabled if during.enabled is None else enabled and during.enabled
        severity = during.severity or severity
    return EffectiveRule(rule, enabled, severity, rule.detector(met))
