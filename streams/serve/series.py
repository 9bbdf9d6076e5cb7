"""`/api/v1/series/{name}`: one number over time."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from consumers.contract.events import MAX_TS_MS
from streams.dictionary.names import ALL
from streams.model.kpis import Number
from streams.model.windows import Window
from streams.panes.counters import HOUR_MS
from streams.serve.answers import (
    AnswerFrame,
    LiveView,
    PromotionParam,
    ScopeParam,
    ValueParam,
    WindowParam,
    frame_fields,
    require_ready,
    scope_value,
)
from streams.serve.encoding import ApiModel, json_response
from streams.serve.errors import ERRORS, ApiError, unknown_value_error
from streams.serve.paths import PathId
from streams.view.compare_rules import ComparisonPeriod
from streams.view.comparer import Comparer
from streams.view.query import KpiQuery

router = APIRouter(prefix="/api/v1", tags=["KPIs"], responses=ERRORS)

MAX_POINTS = 2_000
_MINUTE_MS = 60_000


class ComparedPoints(ApiModel):
    """The same number at another time, on the time axis of `points`."""

    against: ComparisonPeriod
    offset_ms: int
    """Shift from the time compared with to the axis, at the last point; across a clock change, earlier points are an
    hour off."""
    promotion: str | None
    """The baseline, or the promotion covered by window `promotion`; else null."""
    points: list[tuple[int, Number]]
    """[time on the axis, number or null], ascending. If only minutes are kept, points are at full minutes."""


class SeriesAnswer(AnswerFrame):
    """One number at many as-of times; `as_of` is the newest as-of, whatever the range of the points."""

    name: str
    window: Window
    scope: str
    value: str | None
    points: list[tuple[int, Number]]
    """[as-of, number or null], ascending. If only minutes are kept, at most one per minute."""
    compared: ComparedPoints | None = None
    """Only with `compare=`."""


@router.get("/series/{name}", response_model=SeriesAnswer)
async def series(
    live: LiveView,
    name: Annotated[PathId, Path(max_length=128, description="A counter or KPI; see /api/v1/definitions.")],
    window: WindowParam = Window.M1,
    scope: ScopeParam = ALL,
    value: ValueParam = None,
    start: Annotated[
        int | None, Query(ge=0, le=MAX_TS_MS, description="Epoch ms; by default an hour before end.")
    ] = None,
    end: Annotated[int | None, Query(ge=0, le=MAX_TS_MS, description="Epoch ms; by default the newest as-of.")] = None,
    step: Annotated[int, Query(ge=1000, le=MAX_TS_MS, multiple_of=1000, description="Ms between points.")] = _MINUTE_MS,
    promotion: PromotionParam = None,
    compare: Annotated[
        ComparisonPeriod | None, Query(description="Add the same series of the baseline, yesterday or last_week.")
    ] = None,
) -> Response:
    """A counter or KPI at start, start + step, ... up to end, each in the window that ends there."""
    if name not in live.model.units:
        raise unknown_value_error("kpi", name, live.model.names)
    row = scope_value(live, scope, value)
    if row is None:
        raise ApiError(422, "invalid_parameter", f"a series needs one value: add value= to scope={scope}")
    newest_ms = live.newest_ms() or (end is not None and live.queryable_until_ms()) or require_ready(live)
    moments, query = _moments(newest_ms, start, end, step), KpiQuery(window, scope, None, promotion or None)
    points = await live.ask(lambda view, at_ms: view.series(query, row, name, moments, at_ms))
    fields: dict[str, Any] = {"name": name, "window": window, "scope": scope, "value": row or None, "points": points}
    if compare is not None:
        zone = live.settings.timezone
        compared = await live.ask(
            lambda view, at_ms: Comparer(view, at_ms, zone).series(query, row, name, moments, compare)
        )
        fields["compared"] = ComparedPoints(
            against=compare, offset_ms=compared.offset_ms, promotion=compared.promotion, points=compared.points
        )
    return json_response(frame_fields(live, newest_ms, newest=True) | fields)


def _moments(newest_ms: int, start: int | None, end: int | None, step: int) -> range:
    """As-ofs of the points, multiples of 1 s."""
    last = newest_ms if end is None else end
    first = max(0, last - HOUR_MS) if start is None else start
    if last > newest_ms:
        raise ApiError(422, "not_answerable", f"end {last} is later than the newest as-of, {newest_ms}")
    if first > last:
        raise ApiError(422, "invalid_parameter", f"start {first} is after end {last}")
    moments = range(first - first % 1000, last + 1, step)
    if len(moments) > MAX_POINTS:
        shortest = -(-(last - first) // ((MAX_POINTS - 1) * 1000)) * 1000
        raise ApiError(
            422,
            "too_many_points",
            f"the series would have {len(moments)} points, the limit is {MAX_POINTS}: use step={shortest} or more",
        )
    return moments
