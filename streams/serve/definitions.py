"""`/api/v1/definitions`: everything that is counted and answered."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from fastapi import APIRouter
from starlette.responses import Response

from streams.dictionary.builtin import BUILT_IN
from streams.dictionary.types import DimensionKind, MeasureKind, Model, Unit
from streams.model.kpis import numbers_of
from streams.model.windows import Window
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
    good: str | None
    """`up` or `down`: the direction that is good for the shop; null: neither."""
    own: bool
    """Whether the shop declared it; others are built in."""
    since: int | None
    """Event time, epoch ms, from which it counts: null in windows that begin earlier. Null: from the beginning."""


class DimensionAnswer(ApiModel):
    """One scope."""

    name: str
    kind: DimensionKind
    of: list[str]
    """The field of events with its value; of a crossing, the scopes that it crosses."""
    thin: bool
    """Whether it has no distinct counts."""
    since: int | None
    """Event time, epoch ms, from which it counts. Null: from the beginning."""


class DefinitionsAnswer(ApiModel):
    """All numbers, in the order of answers."""

    windows: list[Window]
    scopes: list[str]
    timezone: str
    currency: str
    currency_exponent: int
    not_in_as_of: list[str]
    """Topics that the as-of does not wait for (setting `as_of_topics`): their newest events may be missing."""
    dimensions: list[DimensionAnswer]
    """The scopes."""
    definitions: list[Definition]


def definitions(model: Model = BUILT_IN) -> Iterator[Definition]:
    """All numbers of a model, in the order of answers."""
    for measure in model.public_measures:
        for name in measure.answers:
            yield Definition(
                name=name,
                kind=NumberKind.DISTINCT if measure.kind is MeasureKind.DISTINCT else NumberKind.COUNTER,
                unit=measure.unit,
                formula=measure.about,
                scopes=[scope for scope in model.dimensions if scope in measure.scopes],
                good=None,
                own=measure.name in model.own,
                since=measure.since_ms,
            )
    for metric in model.metrics.values():
        yield Definition(
            name=metric.name,
            kind=NumberKind.KPI,
            unit=metric.unit,
            formula=numbers_of(model).formula(metric.name),
            scopes=[scope for scope in model.dimensions if scope in metric.scopes],
            good=metric.good or None,
            own=metric.name in model.own,
            since=metric.since_ms,
        )


def dimensions(model: Model) -> Iterator[DimensionAnswer]:
    """The dimensions of a model."""
    numbers = numbers_of(model)
    for dimension in model.dimensions.values():
        yield DimensionAnswer(
            name=dimension.name,
            kind=dimension.kind,
            of=[*dimension.parts] or [dimension.field] * bool(dimension.field),
            thin=not numbers.has_distincts(dimension.name),
            since=dimension.since_ms,
        )


@router.get("/definitions", response_model=DefinitionsAnswer)
async def all_definitions(live: LiveView) -> Response:
    """Every counter, distinct count and KPI: name, unit, formula, scopes."""
    settings, model = live.settings, live.model
    answer = DefinitionsAnswer(
        windows=list(Window),
        scopes=list(model.dimensions),
        timezone=settings.timezone,
        currency=settings.currency,
        currency_exponent=settings.money_exponent,
        not_in_as_of=[topic.value for topic in settings.not_in_as_of],
        dimensions=list(dimensions(model)),
        definitions=list(definitions(model)),
    )
    return json_response(answer)
