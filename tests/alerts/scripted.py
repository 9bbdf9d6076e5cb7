"""An evaluator with scripted findings."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from alerts.engine import EvaluationRun
from alerts.findings import Finding, Series
from alerts.rule_states import RuleStatus
from alerts.rules.rule import Rules
from alerts.state.policy import Timing
from tests.alerts.builders import evaluation


class Scripted:
    """Returns the same findings until a test sets others."""

    def __init__(self, *found: Finding, timing: Timing | None = None) -> None:
        self.found: tuple[Finding, ...] = found
        self.statuses: tuple[RuleStatus, ...] = ()
        self.watched: Collection[Series] = ()
        self._timing = timing or Timing()
        self.begun_with: list[bytes | None] = []
        self.memory: bytes | None = None
        self.raises: Exception | None = None
        self.before: Callable[[], object] = lambda: None

    async def evaluate(self, watched: Collection[Series], now_ms: int) -> EvaluationRun | None:
        self.watched = watched
        self.before()
        if self.raises is not None:
            raise self.raises
        done = evaluation(*(replace(one, as_of_ms=now_ms) for one in self.found), at_ms=now_ms)
        return EvaluationRun(replace(done, rules=self.statuses), frozenset({"d11"}))

    def restore(self, kept: bytes | None) -> None:
        self.begun_with.append(kept)

    def serialized_memory(self) -> bytes | None:
        return self.memory

    def rules(self) -> Rules:
        return Rules(rules=())

    def timing(self, rule: str) -> Timing:
        return self._timing

    def set_store_uptime(self, store_healthy_for_s: Callable[[], float]) -> None:
        pass

    async def stop(self) -> None:
        pass
