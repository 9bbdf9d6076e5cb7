"""The evaluation interval of a rehearsal: as live, or longer for long sales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from alerts.evaluate import STEP_S
from alerts.rules.detect import SequentialDetector
from alerts.rules.rule import Rule, Rules
from consumers.times import format_setting_duration

MAX_EVALUATIONS, MAX_STEPS = 10_000, 20_000
"""Limits for a whole rehearsal, which keep it within minutes."""
_EVERY_S = (5, 10, 30, 60, 300, 900, 1800, 3600, 7200, 21_600, 86_400)
_STEPS_S = (STEP_S, 30, 60, 300, 900, 3600)
LIVE_EVERY_S = 60.0
"""Maximum interval at which silence detectors still read every second, as live."""


@dataclass(frozen=True, slots=True)
class RehearsalPace:
    """The pace of one rehearsal."""

    every_s: float
    """Interval between evaluations."""
    step_s: int
    """Maximum length of the steps in which counters are read."""
    chosen: bool
    """Whether `every_s` was derived from the length of the sale."""

    def describe(self) -> str:
        """Describe the interval and what it misses."""
        origin = " (for the length of it; --every sets it)" if self.chosen else ""
        text = f"an evaluation every {format_setting_duration(self.every_s)}{origin}"
        if self.every_s > LIVE_EVERY_S:
            text += f", counters in steps of {format_setting_duration(self.step_s)}: shorter incidents are missed"
            text += ", and counter rules are less precise than live"
        return text

    def left_out(self, rules: Rules) -> tuple[str, ...]:
        """Names of enabled rules that need shorter steps."""
        return tuple(rule.name for rule in rules.rules if rule.enabled and max_step_s(rule) < self.step_s)

    def fitting(self, rules: Rules) -> Rules:
        """The rules, with those disabled."""
        names = self.left_out(rules)
        kept = (rule.model_copy(update={"enabled": False}) if rule.name in names else rule for rule in rules.rules)
        return rules.model_copy(update={"rules": tuple(kept)})

    def describe_left_out(self, rules: Rules) -> str:
        """Describe the left-out rules and how to include them; empty if there are none."""
        names = self.left_out(rules)
        if not names:
            return ""
        finest_s = min(max_step_s(rule) for rule in rules.rules if rule.name in names)
        part = format_setting_duration(
            max(step_s for step_s in _STEPS_S if step_s <= finest_s) * MAX_STEPS // 3600 * 3600
        )
        return (
            f"left out, for what they compare is apart by less than these steps: {', '.join(names)}; "
            f"--every {format_setting_duration(finest_s)} has all of them judged, "
            f"or --until no more than {part} after the beginning"
        )


def pace(length_s: float, every_s: float | None = None) -> RehearsalPace:
    """The pace for a sale of this length. `every_s` is the requested interval."""
    interval_s = every_s or _first(_EVERY_S, length_s / MAX_EVALUATIONS)
    return RehearsalPace(
        interval_s, int(min(max(interval_s, STEP_S), _first(_STEPS_S, length_s / MAX_STEPS))), every_s is None
    )


def max_step_s(rule: Rule) -> float:
    """The longest steps in which a rule works. For a rate, `count` events must occur mostly in the step of their `per`
    events, so its `lag` limits the steps; other rules have no limit."""
    detect = rule.detect
    if not isinstance(detect, SequentialDetector) or set(detect.count) <= set(detect.per):
        return math.inf
    return max(detect.lag, STEP_S)


def _first(choices: Sequence[int], least: float) -> int:
    return next((choice for choice in choices if choice >= least), choices[-1])
