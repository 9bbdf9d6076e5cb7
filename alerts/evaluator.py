"""What the engine asks of whatever evaluates the rules."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from alerts.findings import Evaluation, Series
from alerts.rules.rule import Rules
from alerts.state.policy import Timing


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One evaluation, and what went with it."""

    evaluation: Evaluation
    running: frozenset[str]
    """Ids of the promotions that run at its as-of."""


class Evaluator(Protocol):
    """Evaluates the rules; what it remembers between two evaluations is its own."""

    async def evaluate(self, watched: Collection[Series], now_ms: int) -> Evaluated | None:
        """All rules at the newest as-of; None while there is none. `watched`: series that must be among the findings.

        Raises what a Redis that does not answer raises.
        """

    def begin(self, kept: bytes | None) -> None:
        """Begin to evaluate, from what a process before had remembered (None: nothing is kept)."""

    def remembered(self) -> bytes | None:
        """What another process would need to go on from here; None: nothing."""

    def rules(self) -> Rules:
        """The rules in force, of which those about Redis are evaluated without it too."""

    def timing(self, rule: str) -> Timing:
        """When alerts of a rule fire and are over; of a rule that is no more, that they are over at once."""

    def heed(self, store_well_for_s: Callable[[], float]) -> None:
        """Be told for how long Redis has been well: before that, nobody could leave a heartbeat there."""

    async def stop(self) -> None:
        """Nothing will be asked any more."""
