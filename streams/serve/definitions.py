"""`/api/v1/definitions`: the metric dictionary as the product computes it."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from streams.model.kpis import KPIS, PUBLIC_COUNTERS, absent_counters
from streams.model.windows import Window
from streams.panes.counters import DISTINCTS, Unit
from streams.panes.scopes import SCOPES, Scope
from streams.serve.answers import LiveView
from streams.serve.encoding import json_response

router = APIRouter(prefix="/api/v1", tags=["KPIs"])


class NumberKind(StrEnum):
    """What sort of number it is."""

    COUNTER = "counter"
    """An exact sum."""
    DISTINCT = "distinct"
    """An estimate of how many different ids there were: error at most 2 %, or 1 where that is more."""
    KPI = "kpi"
    """Made of counters and distinct counts."""


class Definition(BaseModel):
    """One number that answers hold."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    name: str
    kind: NumberKind
    unit: Unit
    """Money is in minor units of the currency."""
    formula: str
    """How a KPI is made, or what a counter counts."""
    scopes: list[Scope]
    """Where it exists; elsewhere it is null."""


class DefinitionsAnswer(BaseModel):
    """Every number, in the order that answers hold them."""

    windows: list[Window]
    scopes: list[Scope]
    timezone: str
    currency: str
    currency_exponent: int
    not_in_as_of: list[str]
    """Topics that the as-of does not wait for (setting `as_of_topics`): the newest of their events may be missing."""
    definitions: list[Definition]


def definitions() -> Iterator[Definition]:
    """Every counter, distinct count and KPI."""
    for counter in PUBLIC_COUNTERS:
        scopes = [scope for scope in SCOPES if counter.name not in absent_counters(scope)]
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
        scopes=list(Scope),
        timezone=settings.timezone,
        currency=settings.currency,
        currency_exponent=settings.money_exponent,
        not_in_as_of=[topic.value for topic in settings.not_in_as_of],
        definitions=list(definitions()),
    )
    return json_response(answer.model_dump(mode="json"))
