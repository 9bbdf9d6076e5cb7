"""Whether each rule watches, learns, is inhibited, has no data or is off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class RuleCondition(StrEnum):
    """Condition of one rule."""

    WATCHING = "watching"
    """At least one series is evaluated, and can page."""
    LEARNING = "learning"
    """No series has a baseline yet."""
    INHIBITED = "inhibited"
    """It is breached, and another alert explains all of it; or a data fault makes all of its numbers unreliable."""
    NO_DATA = "no_data"
    """Its numbers do not exist, such as those of SKUs on promotion without a promotion."""
    OFF = "off"
    """Disabled, or its condition on promotions is not met."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleStatus:
    """One rule at one evaluation."""

    rule: str
    title: str
    condition: RuleCondition
    lacks: str = ""
    """What it lacks to evaluate all of its series, as `18 of 30 orders_paid in its baseline`; empty: nothing."""
    inhibited_by: tuple[str, ...] = ()
    """The alerts that explain its breaches, and the data faults that make its numbers unreliable."""
    watching: int = 0
    """Number of evaluated series."""
    learning: int = 0
    """Number of series without a baseline."""
    no_data: int = 0
    """Number of series without enough data."""


@dataclass(frozen=True, slots=True)
class RuleState:
    """A rule's status, and since when it has its condition."""

    status: RuleStatus
    since_ms: int


@dataclass(frozen=True, slots=True)
class RuleStates:
    """All rules at one as-of, in the order of the rule file."""

    as_of_ms: int
    rules: tuple[RuleState, ...] = ()

    def conditions(self) -> Mapping[str, RuleCondition]:
        """Return {rule: its condition}."""
        return {state.status.rule: state.status.condition for state in self.rules}


NO_RULE_STATES = RuleStates(0)


def next_states(before: RuleStates, rules: Iterable[RuleStatus], as_of_ms: int) -> RuleStates:
    """The states at the next as-of: a rule whose condition is unchanged keeps its start."""
    known = {state.status.rule: state for state in before.rules}

    def state_of(status: RuleStatus) -> RuleState:
        former = known.get(status.rule)
        is_same = former is not None and former.status.condition is status.condition
        return RuleState(status, former.since_ms if former is not None and is_same else as_of_ms)

    return RuleStates(as_of_ms, tuple(map(state_of, rules)))
