"""The timing of a rule's alerts."""

from __future__ import annotations

from alerts.rules.rule import Rule
from alerts.state.policy import Timing


def timing_of(rule: Rule) -> Timing:
    """Return the timing that a rule sets."""
    return Timing(
        for_ms=round(rule.for_s * 1000),
        clear_ms=round(rule.keep_firing_for * 1000),
        digest_ms=round(rule.digest * 1000),
    )
