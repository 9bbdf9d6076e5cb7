"""`/api/v1/compare`: all numbers of a scope, and the same numbers at another time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Query
from starlette.responses import Response

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
from streams.serve.errors import ERRORS
from streams.view.cached_queries import CachedKpiQuery, EncodedAnswer, encode_answer
from streams.view.compare_rules import ComparisonPeriod, differences
from streams.view.comparer import ComparedAnswer, ComparedItem, ComparedMoment, Comparer
from streams.view.query import KpiQuery
from streams.view.rolling import RollingView

router = APIRouter(prefix="/api/v1", tags=["KPIs"], responses=ERRORS)

AgainstParam = Annotated[
    ComparisonPeriod,
    Query(
        description="baseline: the promotion's baseline at the same time since its start; yesterday, last_week: the "
        "same local time one day or seven days before."
    ),
]


class ComparedMomentAnswer(ApiModel):
    """The moment compared with."""

    as_of: int
    """Epoch ms."""
    offset_ms: int
    """From this moment to the as-of."""
    promotion: str | None
    """The baseline, or the promotion covered by window `promotion`; else null."""


class ComparedNumbers(ApiModel):
    values: Values
    """Now."""
    compared: Values | None
    """Then; null, like `difference` and `ratio`, for a promotion in a list that has no baseline."""
    difference: Values | None
    """values - compared; null if either is."""
    ratio: Values | None
    """values / compared; null if either is null or `compared` is 0."""


class ComparedItemAnswer(ComparedNumbers):
    """One value of the scope."""

    value: str
    compared_value: str | None
    """The value compared with: for a promotion its baseline, otherwise the same value."""
    then: ComparedMomentAnswer | None


class ComparedFrame(KpiFrame):
    """Fields of both moments; `as_of` is now."""

    against: ComparisonPeriod
    then: ComparedMomentAnswer | None
    """Null if each item has a moment of its own."""


class CompareOne(ComparedFrame, ComparedNumbers):
    """One value of a scope, compared."""

    value: str | None
    compared_value: str | None


class CompareEach(ComparedFrame):
    """Each value of a scope with any counter now, largest GMV first, at most 1,000, compared."""

    count: int
    """Number of such values; `items` are the first 1,000."""
    items: list[ComparedItemAnswer]


@dataclass(frozen=True, slots=True)
class CompareQuery(CachedKpiQuery):
    """The `CachedQuery` of a comparison."""

    value: str | None
    against: ComparisonPeriod
    timezone: str
    warm_s: ClassVar[float] = 60

    async def compute(self, view: RollingView, at_ms: int, as_of_ms: int | None) -> EncodedAnswer:
        comparer, query = Comparer(view, at_ms, self.timezone), self.at(as_of_ms)
        if self.value is None:
            found = await comparer.every(query, self.against)
        else:
            found = await comparer.one(query, self.value, self.against)
        return encode_answer(found.now, **compared_answer(found, self.against, one=self.value is not None))


@router.get("/compare", response_model=CompareOne | CompareEach)
async def compare(
    live: LiveView,
    against: AgainstParam,
    window: WindowParam = Window.M5,
    scope: ScopeParam = Scope.ALL,
    value: ValueParam = None,
    promotion: PromotionParam = None,
    as_of: AsOfParam = None,
) -> Response:
    """Every KPI and counter now and then, with difference and ratio."""
    query = KpiQuery(window, scope, as_of, promotion or None)
    cached_query = CompareQuery(
        query, value=scope_value(scope, value), against=against, timezone=live.settings.timezone
    )
    return json_response(await answer_fields(live, cached_query))


def compared_answer(found: ComparedAnswer, against: ComparisonPeriod, *, one: bool) -> dict[str, Any]:
    """The fields of a comparison without the frame, for one value or for each."""
    about = {"against": against.value, "then": _then(found.at)}
    return about | (
        _item(found.items[0]) if one else {"count": found.now.count, "items": [_item(held) for held in found.items]}
    )


def _then(at: ComparedMoment | None) -> dict[str, Any] | None:
    return None if at is None else {"as_of": at.as_of_ms, "offset_ms": at.offset_ms, "promotion": at.promotion}


def _item(held: ComparedItem) -> dict[str, Any]:
    about = {"value": held.now.value or None, "then": _then(held.at), "values": held.now.values}
    if held.then is None:
        return about | dict.fromkeys(("compared_value", "compared", "difference", "ratio"))
    apart = differences(held.now.values, held.then.values)
    return about | {
        "compared_value": held.then.value or None,
        "compared": held.then.values,
        "difference": {name: one.difference for name, one in apart.items()},
        "ratio": {name: one.ratio for name, one in apart.items()},
    }
