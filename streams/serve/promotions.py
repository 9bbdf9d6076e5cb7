"""`/api/v1/promotions`: definitions, progress, KPIs, targets and forecasts of promotions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from consumers.contract.events import Phase, Promotion
from streams.dictionary.names import PROMOTION
from streams.model.kpis import Number
from streams.model.promotions import RunState, elapsed_fraction, promotion_progress
from streams.model.windows import Window
from streams.serve.answers import AnswerFrame, AsOfParam, LiveView, Values, frame_fields, require_ready
from streams.serve.encoding import ApiModel, json_response
from streams.serve.errors import ERRORS, ApiError, ErrorAnswer
from streams.serve.live import Live
from streams.serve.paths import PathId
from streams.view.forecasts import ForecastBasis, Forecasts, TargetOutlook
from streams.view.query import KpiQuery, NotAnswerableError
from streams.view.rolling import RollingView

NOT_FOUND: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorAnswer, "description": "Unknown promotion; the message lists the promotions in force."}
}
router = APIRouter(prefix="/api/v1", tags=["promotions"], responses=ERRORS)


class PhaseAnswer(ApiModel):
    """A phase, half-open, epoch ms."""

    name: str
    starts_at: int
    ends_at: int
    elapsed_fraction: float
    """Elapsed fraction, 0 to 1."""


class TargetAnswer(ApiModel):
    """One target: net GMV of the promotion's own events in its own time."""

    tier: str
    target: int
    attainment: Number
    """Net GMV so far divided by the target; null if panes have expired, or the target is 0."""
    probability: float | None
    """Probability of reaching it by the end; null without a forecast."""


class ForecastAnswer(ApiModel):
    """Forecast of the promotion's final net GMV, minor units."""

    as_of: int
    """As-of of the forecast; at most 10 s older than the answer."""
    expected: int
    """Median."""
    low: int
    high: int
    """The final net GMV is between low and high with probability 0.8."""
    basis: ForecastBasis
    earlier: list[str]
    """The earlier promotions that it is based on."""


class PromotionAnswer(ApiModel):
    """One promotion at the as-of."""

    promotion_id: str
    definition: Promotion
    """The definition in force."""
    state: RunState
    phase: PhaseAnswer | None
    """The current phase; null between phases, before and after them."""
    next_phase: PhaseAnswer | None
    elapsed_ms: int
    """Since its start; at most its length."""
    elapsed_fraction: float
    """Elapsed fraction of its time, 0 to 1."""
    values: Values | None
    """Every KPI in scope `promotion` and window `promotion`; null if panes have expired."""
    targets: list[TargetAnswer]
    """Base, sprint and challenge; empty without targets."""
    forecast: ForecastAnswer | None
    """Null before its start, and without enough data."""


class PromotionsAnswer(AnswerFrame):
    """All promotions in force, by start."""

    promotions: list[PromotionAnswer]


class OnePromotionAnswer(AnswerFrame, PromotionAnswer):
    """One promotion in force."""


async def get_forecasts(request: Request) -> Forecasts:
    """The forecasts of this app."""
    forecasts: Forecasts = request.app.state.forecasts
    return forecasts


ForecastsOfApp = Annotated[Forecasts, Depends(get_forecasts)]


@router.get("/promotions", response_model=PromotionsAnswer)
async def promotions(live: LiveView, forecasts: ForecastsOfApp, as_of: AsOfParam = None) -> Response:
    """Every promotion in force: definition, phase, KPIs, targets and forecast."""
    as_of_ms, answers = await _query_promotions(live, forecasts, as_of, lambda known: list(known.values()))
    return json_response(frame_fields(live, as_of_ms, newest=as_of is None) | {"promotions": answers})


@router.get("/promotions/{promotion_id}", response_model=OnePromotionAnswer, responses=NOT_FOUND)
async def promotion(
    live: LiveView,
    forecasts: ForecastsOfApp,
    promotion_id: Annotated[PathId, Path(max_length=128, description="The promotion_id of events.")],
    as_of: AsOfParam = None,
) -> Response:
    """One promotion: definition, phase, KPIs, targets and forecast."""

    def named(known: Mapping[str, Promotion]) -> list[Promotion]:
        if promotion_id not in known:
            names = ", ".join(sorted(known)) or "none"
            raise ApiError(404, "unknown_promotion", f"unknown promotion {promotion_id!r}; in force: {names}")
        return [known[promotion_id]]

    as_of_ms, (answer,) = await _query_promotions(live, forecasts, as_of, named)
    return json_response(frame_fields(live, as_of_ms, newest=as_of is None) | vars(answer))


async def _query_promotions(
    live: Live,
    forecasts: Forecasts,
    as_of: int | None,
    chosen: Callable[[Mapping[str, Promotion]], list[Promotion]],
) -> tuple[int, list[PromotionAnswer]]:
    """The as-of, and the promotions that `chosen` selects, all at this as-of."""
    if as_of is None:
        require_ready(live)

    async def query(view: RollingView, at_ms: int) -> tuple[int, list[PromotionAnswer]]:
        as_of_ms = view.resolve_as_of_ms(as_of, at_ms)
        ordered = sorted(chosen(view.promotions), key=lambda promotion: (promotion.starts_at, promotion.promotion_id))
        return as_of_ms, [await _promotion_answer(view, at_ms, forecasts, promotion, as_of_ms) for promotion in ordered]

    return await live.ask(query, pause_polling=True)


async def _promotion_answer(
    view: RollingView, at_ms: int, forecasts: Forecasts, promotion: Promotion, as_of_ms: int
) -> PromotionAnswer:
    newest_ms = view.as_of(at_ms).ms
    values: dict[str, Number] | None = None
    outlook: TargetOutlook | None = None
    try:
        query = KpiQuery(Window.PROMOTION, PROMOTION, as_of_ms)
        values = (await view.one(query, promotion.promotion_id, at_ms)).items[0].values
        newest = newest_ms is not None and as_of_ms >= newest_ms
        outlook = await forecasts.of(view, at_ms, promotion, as_of_ms, newest=newest)
    except NotAnswerableError:
        pass  # the panes of one old promotion must not hide the others: its values are null
    now = promotion_progress(promotion, as_of_ms)
    return PromotionAnswer(
        promotion_id=promotion.promotion_id,
        definition=promotion,
        state=now.state,
        phase=_phase_answer(now.phase, as_of_ms),
        next_phase=_phase_answer(now.next, as_of_ms),
        elapsed_ms=now.elapsed_ms,
        elapsed_fraction=now.elapsed_fraction,
        values=values,
        targets=_target_answers(promotion, values, outlook),
        forecast=_forecast_answer(outlook),
    )


def _phase_answer(phase: Phase | None, as_of_ms: int) -> PhaseAnswer | None:
    if phase is None:
        return None
    return PhaseAnswer(**phase.model_dump(), elapsed_fraction=elapsed_fraction(phase, as_of_ms))


def _target_answers(
    promotion: Promotion, values: dict[str, Number] | None, outlook: TargetOutlook | None
) -> list[TargetAnswer]:
    return [
        TargetAnswer(
            tier=tier,
            target=target,
            attainment=values[f"target_attainment.{tier}"] if values else None,
            probability=None if outlook is None else outlook.forecast.probability(target),
        )
        for tier, target in promotion.targets or ()
    ]


def _forecast_answer(outlook: TargetOutlook | None) -> ForecastAnswer | None:
    if outlook is None:
        return None
    forecast = outlook.forecast
    return ForecastAnswer(
        as_of=outlook.as_of_ms,
        expected=round(forecast.expected),
        low=round(forecast.low),
        high=round(forecast.high),
        basis=outlook.basis,
        earlier=list(outlook.earlier),
    )
