"""Forecasts of promotions, computed from the view and cached."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from zoneinfo import ZoneInfo

from consumers.contract.events import Promotion
from streams.dictionary.names import PROMOTION
from streams.model.kpis import Number
from streams.model.promotions import baseline_chain
from streams.model.target_forecast import CELLS, Curve, EarlierPromotion, Forecast, day_curve, forecast
from streams.model.windows import Window
from streams.settings import Settings
from streams.store.levels import levels
from streams.view.query import KpiQuery, NotAnswerableError
from streams.view.rolling import RollingView

KEEP_MS = 10_000
"""How long a forecast is reused, in machine time and in event time."""
KEEP_WHOLE_MS = 600_000
"""Curves of ended promotions change only by late events, most of which change the sum and so the cache key."""
_MOST = 64
"""Maximum number of cached curves and forecasts."""
_MINUTE_MS = 60_000
_QUESTION = KpiQuery(Window.PROMOTION, PROMOTION)


class ForecastBasis(StrEnum):
    """The basis of a forecast."""

    EARLIER = "earlier"
    """The course of the baseline, of its baseline and so on, from the same elapsed time."""
    DAY = "day"
    """The usual shape of a day: no earlier promotion is known."""
    FINAL = "final"
    """The promotion has ended: this is its result, except for late events."""


@dataclass(frozen=True, slots=True)
class TargetOutlook:
    """A forecast and its basis."""

    as_of_ms: int
    basis: ForecastBasis
    earlier: tuple[str, ...]
    """The earlier promotions that it is based on."""
    forecast: Forecast


@dataclass(frozen=True, slots=True)
class _CachedForecast:
    """A cached result, valid until `until_ms` of the machine's clock."""

    cache_key: object
    until_ms: int
    curve: Curve | None = None
    outlook: TargetOutlook | None = None


class Forecasts:
    """Forecasts of one server. They run in the view's thread (`Live.ask`)."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept: OrderedDict[tuple[str, str], _CachedForecast] = OrderedDict()
        """# {(kind, promotion_id): result}"""

    async def of(
        self, view: RollingView, at_ms: int, promotion: Promotion, as_of_ms: int, *, newest: bool
    ) -> TargetOutlook | None:
        """The forecast of a promotion at an as-of; None before its start, and without enough data.

        `newest`: this is the newest as-of; the answer may then be up to `KEEP_MS` old. Raises NotAnswerableError if
        panes have expired.
        """
        final = await self._sold(view, at_ms, promotion) if as_of_ms >= promotion.ends_at else None
        moment = as_of_ms // KEEP_MS, final
        cache_key = (promotion, tuple(baseline_chain(promotion, view.promotions)), view.state.epochs, moment)
        cached = self._kept.get(("outlook", promotion.promotion_id))
        if newest and cached is not None and cached.cache_key == cache_key and at_ms < cached.until_ms:
            return cached.outlook
        outlook = await self._compute_outlook(view, at_ms, promotion, as_of_ms)
        if newest:
            self._keep("outlook", promotion, _CachedForecast(cache_key, at_ms + KEEP_MS, outlook=outlook))
        return outlook

    async def _compute_outlook(
        self, view: RollingView, at_ms: int, promotion: Promotion, as_of_ms: int
    ) -> TargetOutlook | None:
        now = await self._curve(view, at_ms, promotion, as_of_ms)
        if now is None:
            return None
        if as_of_ms >= promotion.ends_at:
            return TargetOutlook(as_of_ms, ForecastBasis.FINAL, (), Forecast.certain(now.last))
        earlier = [
            EarlierPromotion(earlier_promotion.promotion_id, curve)
            for earlier_promotion in baseline_chain(promotion, view.promotions)
            if earlier_promotion.ends_at <= as_of_ms
            and (curve := await self._whole(view, at_ms, earlier_promotion)) is not None
        ]
        by_earlier = forecast(now, earlier)
        if by_earlier is not None:
            names = tuple(earlier_promotion.promotion_id for earlier_promotion in earlier)
            return TargetOutlook(as_of_ms, ForecastBasis.EARLIER, names, by_earlier)
        by_day = forecast(now, (), _usual_day(promotion))
        return None if by_day is None else TargetOutlook(as_of_ms, ForecastBasis.DAY, (), by_day)

    async def _whole(self, view: RollingView, at_ms: int, promotion: Promotion) -> Curve | None:
        """The curve of an ended promotion; None if its panes have expired."""
        try:
            cache_key = (promotion, view.state.epochs, await self._sold(view, at_ms, promotion))
        except NotAnswerableError:
            return None
        cached = self._kept.get(("whole", promotion.promotion_id))
        if cached is not None and cached.cache_key == cache_key and at_ms < cached.until_ms:
            return cached.curve
        curve = None
        with contextlib.suppress(NotAnswerableError):
            curve = await self._curve(view, at_ms, promotion, promotion.ends_at, whole=True)
        self._keep("whole", promotion, _CachedForecast(cache_key, at_ms + KEEP_WHOLE_MS, curve=curve))
        return curve

    async def _sold(self, view: RollingView, at_ms: int, promotion: Promotion) -> Number:
        """Net GMV of a promotion by now; its curve is reused while this does not change. It may still grow after the
        end, as long as records wait. Raises NotAnswerableError."""
        return (await view.one(_QUESTION, promotion.promotion_id, at_ms)).items[0].values["net_gmv"]

    async def _curve(
        self, view: RollingView, at_ms: int, promotion: Promotion, until_ms: int, *, whole: bool = False
    ) -> Curve | None:
        """Net GMV over the promotion's time up to `until_ms`; None before its start.

        If its first panes have expired, the curve begins at the first time kept; with `whole` that is an error.
        """
        until_ms = min(until_ms, promotion.ends_at)
        begins_ms, step_ms = promotion.starts_at - promotion.starts_at % _MINUTE_MS, _step_ms(promotion)
        first_ms = begins_ms + step_ms
        newest_ms = view.as_of(at_ms).ms
        keep_s = levels(self._settings)[1].keep_s
        if keep_s is not None and newest_ms is not None and not whole:
            oldest_ms = newest_ms - (keep_s - 900) * 1000
            first_ms = max(first_ms, begins_ms - (begins_ms - oldest_ms) // step_ms * step_ms)
        last_ms = until_ms - until_ms % 1000
        if until_ms == promotion.ends_at:  # where only minutes are kept, the answer is of the next full minute
            last_ms = min(-(-until_ms // _MINUTE_MS) * _MINUTE_MS, last_ms if newest_ms is None else newest_ms)
        if last_ms <= begins_ms:
            return None
        ends_ms = until_ms - until_ms % 1000  # a promotion may end within a second, a curve does not
        moments = [*range(first_ms, min(ends_ms, last_ms), step_ms), last_ms]
        points = await view.series(_QUESTION, promotion.promotion_id, "net_gmv", moments, at_ms)
        length = _length(promotion)
        curve = [
            (min((at - begins_ms) / _MINUTE_MS, length), float(sold))
            for at, sold in points
            if sold is not None and at > begins_ms
        ]
        return Curve.of(curve, length) if curve else None

    def _keep(self, kind: str, promotion: Promotion, kept: _CachedForecast) -> None:
        self._kept[kind, promotion.promotion_id] = kept
        self._kept.move_to_end((kind, promotion.promotion_id))
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)


def _step_ms(promotion: Promotion) -> int:
    """Step of a curve: whole seconds, or whole minutes from a minute on."""
    step_ms = max(1000, (promotion.ends_at - promotion.starts_at) // CELLS)
    return step_ms - step_ms % (_MINUTE_MS if step_ms >= _MINUTE_MS else 1000)


def _length(promotion: Promotion) -> float:
    """Minutes that window `promotion` covers at the end."""
    begins_ms = promotion.starts_at - promotion.starts_at % _MINUTE_MS
    return (promotion.ends_at - promotion.ends_at % 1000 - begins_ms) / _MINUTE_MS


def _usual_day(promotion: Promotion) -> Curve:
    return day_curve(_length(promotion), partial(_local_hour, promotion.starts_at, ZoneInfo(promotion.timezone)))


def _local_hour(begins_ms: int, zone: ZoneInfo, minute: float) -> float:
    then = datetime.fromtimestamp(begins_ms / 1000 + minute * 60, UTC).astimezone(zone)
    return then.hour + then.minute / 60
