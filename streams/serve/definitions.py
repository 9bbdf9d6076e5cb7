"""`/api/v1/definitions`: the metric dictionary."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from fastapi import APIRouter
from starlette.responses import Response

from streams.model.kpis import KPIS, PUBLIC_COUNTERS, absent_counters
from streams.model.windows import Window
from streams.panes.counters import DISTINCTS, Unit
from streams.panes.scopes import SCOPES
from streams.serve.answers import LiveView
from streams.serve.encoding import ApiModel, json_response

router = APIRouter(prefix="/api/v1", tags=["KPIs"])


class NumberKind(StrEnum):
    """The kind of a number."""

    COUNTER = "counter"
    """An exact sum."""
    DISTINCT = "distinct"
    """An estimated number of distinct ids: error at most 2 %, or 1 if that is more."""
    KPI = "kpi"
    """Computed from counters and distinct counts."""


class Definition(ApiModel):
    """One number of the answers."""

    name: str
    kind: NumberKind
    unit: Unit
    """Money is in minor units of the currency."""
    formula: str
    """The formula of a KPI, or what a counter counts."""
    scopes: list[str]
    """The scopes that have it; in others it is null."""


class DefinitionsAnswer(ApiModel):
    """All numbers, in the order of answers."""

    windows: list[Window]
    scopes: list[str]
    timezone: str
    currency: str
    currency_exponent: int
    not_in_as_of: list[str]
    """Topics that the as-of does not wait for (setting `as_of_topics`): their newest events may be missing."""
    definitions: list[Definition]


def definitions() -> Iterator[Definition]:
    """All counters, distinct counts and KPIs."""
    for counter in PUBLIC_COUNTERS:
        scopes = [str(scope) for scope in SCOPES if counter.name not in absent_counters(scope)]
        yield Definition(
            name=counter.name, kind=NumberKind.COUNTER, unit=counter.unit, formula=counter.counts, scopes=scopes
        )
    for distinct in DISTINCTS:
        yield Definition(
            name=distinct.name, kind=NumberKind.DISTINCT, unit=Unit.COUNT, formula=distinct.counts, scopes=list(SCOPES)
        )
    for kpi in KPIS:
        yield Definition(
            name=kpi.name, kind=NumberKind.KPI, unit=kpi.unit, formula=kpi.formula, scopes=list(kpi.scopes)
        )


@router.get("/definitions", response_model=DefinitionsAnswer)
async def all_definitions(live: LiveView) -> Response:
    """Every counter, distinct count and KPI: name, unit, formula, scopes."""
    settings = live.settings
    answer = DefinitionsAnswer(
        windows=list(Window),
        scopes=list(live.model.dimensions),
        timezone=settings.timezone,
        currency=settings.currency,
        currency_exponent=settings.money_exponent,
        not_in_as_of=[topic.value for topic in settings.not_in_as_of],
        definitions=list(definitions()),
    )
    return json_response(answer)
