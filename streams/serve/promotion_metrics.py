"""Metrics of running promotions: phase, elapsed time, targets, forecast and baseline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from consumers.contract.events import Promotion
from streams.dictionary.types import Unit
from streams.model.kpis import Number
from streams.model.promotions import PromotionProgress, RunState, promotion_progress
from streams.view.comparer import Baselines
from streams.view.forecasts import Forecasts, TargetOutlook
from streams.view.query import NotAnswerableError
from streams.view.rolling import RollingView


@dataclass(frozen=True, slots=True)
class RunningPromotion:
    """A promotion that runs at the as-of."""

    promotion: Promotion
    now: PromotionProgress
    outlook: TargetOutlook | None
    baseline: Mapping[str, Number]
    """KPIs of its baseline at the same time since its start; empty without one."""


async def running_promotions(
    view: RollingView, at_ms: int, forecasts: Forecasts, baselines: Baselines, as_of_ms: int
) -> tuple[RunningPromotion, ...]:
    """All promotions that run at the newest as-of."""
    running = []
    for promotion in sorted(view.promotions.values(), key=lambda promotion: promotion.promotion_id):
        now = promotion_progress(promotion, as_of_ms)
        if now.state is not RunState.RUNNING:
            continue
        try:
            outlook = await forecasts.of(view, at_ms, promotion, as_of_ms, newest=True)
        except NotAnswerableError:  # its first panes have expired: the series are absent
            outlook = None
        running.append(RunningPromotion(promotion, now, outlook, await baselines.of(view, at_ms, promotion, as_of_ms)))
    return tuple(running)


class PromotionCollector(Collector):
    """Exports the result of `running_promotions`."""

    def __init__(
        self, running_promotions: Iterable[RunningPromotion], currency_exponent: int, units: Mapping[str, Unit]
    ) -> None:
        """`units`: those of the model in force."""
        self._running = running_promotions
        self._currency_exponent = currency_exponent
        self._units = units

    def describe(self) -> Iterable[Metric]:
        """Collects nothing at registration."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Collects without waiting."""
        yield from promotion_families(self._running, self._currency_exponent, self._units)


def promotion_families(
    running_promotions: Iterable[RunningPromotion], currency_exponent: int, units: Mapping[str, Unit]
) -> Iterator[Metric]:
    """The gauges of running promotions. `units`: those of the model in force."""

    def gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(name, text, labels=["promotion", *labels])

    phase = gauge("salepulse_promotion_phase", "1 for the current phase.", "phase")
    elapsed = gauge("salepulse_promotion_elapsed_ratio", "Elapsed fraction of the promotion's time.")
    expected = gauge(
        "salepulse_promotion_expected_net_gmv",
        "Forecast of the promotion's final net GMV, major currency units; it is between low and high with probability "
        "0.8.",
        "bound",
    )
    starts = gauge("salepulse_promotion_starts_seconds", "Start, epoch.")
    ends = gauge("salepulse_promotion_ends_seconds", "End, epoch.")
    target = gauge("salepulse_promotion_target_net_gmv", "Target net GMV, major currency units.", "tier")
    probability = gauge("salepulse_target_probability", "Probability of reaching the target by the end.", "tier")
    baseline = gauge(
        "salepulse_promotion_baseline",
        "KPIs and counters of the promotion's baseline, in scope and window promotion, at the same time since its "
        "start, as of the last full minute; money in major currency units.",
        "kpi",
    )
    for running in running_promotions:
        name = running.promotion.promotion_id
        elapsed.add_metric([name], running.now.elapsed_fraction)
        starts.add_metric([name], running.promotion.starts_at / 1000)
        ends.add_metric([name], running.promotion.ends_at / 1000)
        for tier, net_gmv in running.promotion.targets or ():
            target.add_metric([name, tier], net_gmv / 10**currency_exponent)
        if running.now.phase is not None:
            phase.add_metric([name, running.now.phase.name], 1)
        if running.outlook is not None:
            forecast = running.outlook.forecast
            for bound in ("expected", "low", "high"):
                expected.add_metric([name, bound], getattr(forecast, bound) / 10**currency_exponent)
            for tier, net_gmv in running.promotion.targets or ():
                probability.add_metric([name, tier], forecast.probability(net_gmv))
        for kpi, number in running.baseline.items():
            if number is not None:
                factor = 10**currency_exponent if units.get(kpi) is Unit.MONEY else 1
                baseline.add_metric([name, kpi], number / factor)
    yield from (phase, elapsed, starts, ends, target, expected, probability, baseline)
