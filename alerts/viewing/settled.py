"""Rules about topics that the as-of does not wait for: second by second these are never complete. Pure."""

from __future__ import annotations

from collections.abc import Collection

from alerts.rules.detect import Sequential, Silence
from alerts.rules.rule import Each, Rule, Rules
from consumers.topics import Topic


def without_unsettled(rules: Rules, not_in_as_of: Collection[Topic]) -> Rules:
    """The rules, those disabled that would take a late feed for a standstill of the shop.

    Rules `for_each: [source]` go on: the sources of such topics are left out where their seconds are read.
    """
    if not not_in_as_of:
        return rules
    return rules.model_copy(
        update={
            "rules": tuple(
                rule.model_copy(update={"enabled": False}) if _is_unsettled(rule, not_in_as_of) else rule
                for rule in rules.rules
            )
        }
    )


def _is_unsettled(rule: Rule, not_in_as_of: Collection[Topic]) -> bool:
    by_seconds = isinstance(rule.detect, Sequential | Silence) and Each.SOURCE not in rule.for_each
    return by_seconds and not rule.topics.isdisjoint(not_in_as_of)
