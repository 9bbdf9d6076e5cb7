"""`/api/v1/kpis` and `/api/v1/top`: all numbers of a scope at one as-of."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from streams.model.kpis import PUBLIC_COUNTERS, absent_counters
from streams.model.windows import Window
from streams.panes.scopes import Scope
from streams.serve.answers import (
    AsOfParam,
    KpiFrame,
    LiveView,
    PromotionParam,
    ScopeParam,
    ValueParam,
    Values,
    WindowParam,
    answer_fields,
    scope_value,
)
from streams.serve.encoding import ApiModel, json_response
from streams.serve.errors import ERRORS, ApiError, unknown_value_error
from streams.view.cached_queries import EachValueQuery, OneValueQuery, TopQuery
from streams.view.query import KpiQuery
from streams.view.rolling import MAX_ITEMS

router = APIRouter(prefix="/api/v1", tags=["KPIs"], responses=ERRORS)

TOP_BY = (*(counter.name for counter in PUBLIC_COUNTERS), "net_gmv")
"""Numbers to rank by: those that can be summed."""


class KpiItem(ApiModel):
    """One value of the scope."""

    value: str
    values: Values


class KpisOfOne(KpiFrame):
    """The numbers of one value of a scope."""

    value: str | None
    """Null in scope `all`."""
    values: Values


class KpisOfEach(KpiFrame):
    """The numbers of each value of a scope with any counter, largest GMV first, at most 1,000."""

    count: int
    """Number of such values; `items` are the first 1,000, and /api/v1/top sums the rest."""
    items: list[KpiItem]


class OtherAnswer(ApiModel):
    """All other values together."""

    count: int
    """Number of the other values."""
    values: Values
    """KPIs of their summed counters; distinct counts and KPIs that need them are null."""


class TopAnswer(KpiFrame):
    """The largest values of a scope, and the rest."""

    by: str
    items: list[KpiItem]
    other: OtherAnswer


@router.get("/kpis", response_model=KpisOfOne | KpisOfEach)
async def kpis(
    live: LiveView,
    window: WindowParam = Window.M5,
    scope: ScopeParam = Scope.ALL,
    value: ValueParam = None,
    promotion: PromotionParam = None,
    as_of: AsOfParam = None,
) -> Response:
    """Every KPI and counter of one value of a scope, or of each value."""
    query, name = KpiQuery(window, scope, as_of, promotion or None), scope_value(scope, value)
    cached_query = EachValueQuery(query) if name is None else OneValueQuery(query, name)
    return json_response(await answer_fields(live, cached_query))


@router.get("/top", response_model=TopAnswer)
async def top(
    live: LiveView,
    by: Annotated[str, Query(description=f"Number to rank by: {', '.join(TOP_BY)}.")] = "gmv",
    window: WindowParam = Window.M15,
    scope: ScopeParam = Scope.SKU,
    n: Annotated[int, Query(ge=1, le=MAX_ITEMS, description="Number of values.")] = 50,
    promotion: PromotionParam = None,
    as_of: AsOfParam = None,
) -> Response:
    """The n largest values of a scope, ties by name, and the rest summed."""
    if by not in TOP_BY:
        raise unknown_value_error("counter", by, TOP_BY)
    if by in absent_counters(scope):
        raise ApiError(422, "not_answerable", f"scope {scope} has no {by}: it counts whole orders")
    query = KpiQuery(window, scope, as_of, promotion or None)
    return json_response(await answer_fields(live, TopQuery(query, by=by, limit=n)))
