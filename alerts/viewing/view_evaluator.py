"""The evaluator over the workers' counts.

A separate thread follows the view and runs the evaluations, so that delivery of notifications continues meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from math import inf

import structlog

from alerts.detection.inputs import DetectionInputs, HealthReading
from alerts.detection.schedule import running_promotions
from alerts.detection.series import MAX_SERIES
from alerts.engine import EvaluationRun
from alerts.evaluate import evaluate
from alerts.findings import Evaluation, Series
from alerts.memory import EvaluationMemory, from_bytes, to_bytes
from alerts.rules.loader import RuleLoader
from alerts.rules.rule import Rules
from alerts.state.policy import Timing
from alerts.state.timing import timing_of
from alerts.viewing.health_readings import RecentTotals, StoreSample, health_readings
from alerts.viewing.horizon import Horizon, continuous_topics, disable_unsettled_rules, horizon
from alerts.viewing.snapshots import HISTORY_S, InputReader
from consumers.topics import Partition
from streams.model.windows import Span
from streams.settings import Settings
from streams.store.levels import levels
from streams.store.process_reports import clock_offsets
from streams.store.state import newest_as_of
from streams.view.follower_thread import FollowerThread
from streams.view.precomputed import HotQueries
from streams.view.query import NotAnswerableError, NotReadyError
from streams.view.rolling import RollingView

log = structlog.get_logger()

_STRETCH_S = 300
"""Length of the ranges in which a backlog is evaluated."""
_REPORT_MAX_AGE_MS = 15_000
"""Maximum age of a worker's report."""
_MAX_CATCH_UP_S = 1.5
"""Maximum duration of one catch-up, between renewals of the lease."""
_WORKER_RETRIES_S = 5.0
"""How soon a worker has retried after Redis is back, on a busy machine."""


@dataclass(slots=True)
class _EvaluationRequest:
    """One evaluation to run in the view's thread."""

    rules: Rules
    watched: Collection[Series]


class ViewEvaluator:
    """An `Evaluator` that follows the view from its first evaluation."""

    def __init__(self, settings: Settings, loader: RuleLoader) -> None:
        self._settings = settings
        self._loader = loader
        self._following = FollowerThread(settings, HotQueries(always=()))
        self._follows = False
        self._store_healthy_for_s: Callable[[], float] = lambda: inf
        self._snapshots = InputReader(settings)
        self._memory = EvaluationMemory()
        self._shares = RecentTotals()
        self._rules = disable_unsettled_rules(loader.loaded.rules, settings.not_in_as_of)

    def restore(self, kept: bytes | None) -> None:
        """Start from serialized memory, and follow the view."""
        self._memory = EvaluationMemory()
        if kept is not None:
            memory = from_bytes(kept)
            if memory is None:
                log.warning("evaluation memory has another version; learning from the last hour")
            elif memory.evaluated_until_s is None:
                log.info("evaluation memory has an earlier version; learning counters from the last hour")
            self._memory = memory or self._memory
        if not self._follows:
            self._follows = True
            self._following.start()

    def serialized_memory(self) -> bytes | None:
        """Serialize the memory for the next leader."""
        return to_bytes(self._memory)

    def rules(self) -> Rules:
        """The last valid rules."""
        return self._loader.loaded.rules

    def timing(self, rule: str) -> Timing:
        """Timing of a rule's alerts; alerts of a removed rule resolve at once."""
        for candidate in self._loader.loaded.rules.rules:
            if candidate.name == rule:
                return timing_of(candidate)
        return Timing()

    def set_store_uptime(self, store_healthy_for_s: Callable[[], float]) -> None:
        """See `Evaluator`."""
        self._store_healthy_for_s = store_healthy_for_s

    async def evaluate(self, watched: Collection[Series], now_ms: int) -> EvaluationRun | None:
        """Reload the rules if they changed, and evaluate them in the view's thread."""
        self._reload()
        request = _EvaluationRequest(self._rules, watched)
        try:
            return await asyncio.wrap_future(
                self._following.ask(lambda view, at_ms: self._evaluate(view, at_ms, request), pause_polling=True)
            )
        except (NotReadyError, NotAnswerableError):
            return None

    async def stop(self) -> None:
        """Stop following."""
        if self._follows:
            await asyncio.to_thread(self._following.stop)

    def _reload(self) -> None:
        if not self._loader.refresh():
            return
        loaded = self._loader.loaded
        self._rules = disable_unsettled_rules(loaded.rules, self._settings.not_in_as_of)
        if loaded.errors:
            log.error(
                "rules invalid; the last valid ones stay in force", errors=[str(error) for error in loaded.errors]
            )
        else:
            log.info("rules reloaded", rules=len(loaded.rules.rules), version=loaded.version)

    # In the view's thread ---------------------------------------------------------------------------------------------

    async def _evaluate(self, view: RollingView, at_ms: int, request: _EvaluationRequest) -> EvaluationRun | None:
        seen = horizon(
            view.state.existing_partitions, at_ms, self._settings, continuous_topics(request.rules), view.state.feeds
        )
        if seen is None:
            return None
        if view.state.unread and self._memory.evaluated_until_s is not None:  # some events are temporarily missing
            seen = seen.not_after(self._memory.evaluated_until_s)
        start_s = await self._catch_up(view, seen, request)
        if start_s is None:
            return None
        panes = await self._snapshots.new_seconds(view, request.rules, Span(start_s, max(start_s, seen.settled_s)))
        if self._memory.evaluated_until_s is None:
            panes = panes.from_first()
        readings = self._facts(view, at_ms, seen)
        holes = view.state.incomplete
        snapshot = await self._snapshots.take(view, at_ms, request.rules, panes, seen, readings, holes, request.watched)
        evaluation = self._judge(request.rules, snapshot, request.watched)
        ids = frozenset(promotion.promotion_id for promotion in running_promotions(view.promotions, seen.as_of_ms))
        return EvaluationRun(evaluation, ids)

    def _judge(self, rules: Rules, snapshot: DetectionInputs, watched: Collection[Series]) -> Evaluation:
        memory, self._memory = self._memory, EvaluationMemory()  # a partial evaluation is discarded
        at_limit = memory.rules_at_limit()
        evaluation, self._memory = evaluate(rules, snapshot, memory, watched)
        for rule in sorted(self._memory.rules_at_limit() - at_limit):
            log.warning("series limit reached; further series are not watched", rule=rule, limit=MAX_SERIES)
        return evaluation

    async def _catch_up(self, view: RollingView, seen: Horizon, request: _EvaluationRequest) -> int | None:
        """Evaluate a part of the backlog without reporting; return its end, or None if more remains."""
        began_s = time.monotonic()
        if self._memory.evaluated_until_s is not None and self._memory.evaluated_until_s > seen.settled_s + HISTORY_S:
            log.warning("as-of moved back; evaluation restarted")
            self._memory = EvaluationMemory()
        start_s = max(self._memory.evaluated_until_s or 0, self._oldest_s(seen))
        while seen.settled_s - start_s > _STRETCH_S:
            if time.monotonic() - began_s > _MAX_CATCH_UP_S:
                return None
            panes = await self._snapshots.seconds(view, request.rules, Span(start_s, start_s + _STRETCH_S))
            if self._memory.evaluated_until_s is None:
                panes = panes.from_first()
            self._judge(
                request.rules,
                DetectionInputs(panes.end_s * 1000, panes, health_readings=None, promotions=view.promotions),
                (),
            )
            start_s += _STRETCH_S
            await asyncio.sleep(0)
        return start_s

    def _oldest_s(self, seen: Horizon) -> int:
        """The first second that is useful and retained."""
        keep_s = levels(self._settings)[0].keep_s
        return seen.settled_s - (HISTORY_S if keep_s is None else min(HISTORY_S, keep_s - 2 * _STRETCH_S))

    def _workers_can_report(self) -> bool:
        """Whether workers could write heartbeats for as long as required."""
        following = self._following
        if following.failure is not None or following.redis_metrics.refused is not None:
            return False
        return self._store_healthy_for_s() >= self._settings.stale_after_s + _WORKER_RETRIES_S

    def _facts(self, view: RollingView, at_ms: int, seen: Horizon) -> list[HealthReading]:
        now, redis_metrics = self._following.now_ms(), self._following.redis_metrics
        self._shares.take(now, redis_metrics.totals)
        stale: tuple[Partition, ...] | None = newest_as_of(view.state, now, self._settings).stale
        if not self._workers_can_report():
            stale = None
        return list(
            health_readings(
                StoreSample(
                    now_ms=now,
                    polled_ms=max(at_ms, self._following.ping_answered_ms or 0),  # a slow Redis is not down
                    clock=self._settings.clock,
                    as_of_ms=seen.as_of_ms,
                    partitions=view.state.existing_partitions,
                    stale=stale,
                    refuses=redis_metrics.refused is not None,
                    incomplete=view.state.incomplete,
                    totals=redis_metrics.totals,
                    clocks=clock_offsets(redis_metrics.reports, now - _REPORT_MAX_AGE_MS),
                ),
                self._shares,
            )
        )
