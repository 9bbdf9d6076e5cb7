"""`/api/v1/kpis`, `/top` and `/compare`: all numbers of a scope at one as-of, and compared with another time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Query
from starlette.responses import Response

from streams.dictionary.names import ALL, SKU
from streams.model.kpis import numbers_of
from streams.model.windows import Window
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
    require_scope,
    scope_value,
)
from streams.serve.encoding import ApiModel, json_response
from streams.serve.errors import ERRORS, unknown_value_error
from streams.view.cached_queries import (
    CachedKpiQuery,
    EachValueQuery,
    EncodedAnswer,
    OneValueQuery,
    TopQuery,
    encode_answer,
)
from streams.view.compare_rules import ComparisonPeriod, differences
from streams.view.comparer import ComparedAnswer, ComparedItem, ComparedMoment, Comparer
from streams.view.query import KpiQuery
from streams.view.rolling import MAX_ITEMS, RollingView

router = APIRouter(prefix="/api/v1", tags=["KPIs"], responses=ERRORS)


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
    scope: ScopeParam = ALL,
    value: ValueParam = None,
    promotion: PromotionParam = None,
    as_of: AsOfParam = None,
) -> Response:
    """Every KPI and counter of one value of a scope, or of each value."""
    query, name = KpiQuery(window, scope, as_of, promotion or None), scope_value(live, scope, value)
    cached_query = EachValueQuery(query) if name is None else OneValueQuery(query, name)
    return json_response(await answer_fields(live, cached_query))


@router.get("/top", response_model=TopAnswer)
async def top(
    live: LiveView,
    by: Annotated[str, Query(description="Number to rank by: a counter, or a sum of counters.")] = "gmv",
    window: WindowParam = Window.M15,
    scope: ScopeParam = SKU,
    n: Annotated[int, Query(ge=1, le=MAX_ITEMS, description="Number of values.")] = 50,
    promotion: PromotionParam = None,
    as_of: AsOfParam = None,
) -> Response:
    """The n largest values of a scope, ties by name, and the rest summed."""
    require_scope(live, scope)
    numbers = numbers_of(live.model)
    if by not in numbers.additive:
        raise unknown_value_error("counter", by, numbers.additive)
    query = KpiQuery(window, scope, as_of, promotion or None)
    return json_response(await answer_fields(live, TopQuery(query, by=by, limit=n)))


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
    """Numbers now and then."""

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
        """The answer without its frame."""
        comparer, query = Comparer(view, at_ms, self.timezone), self.at(as_of_ms)
        if self.value is None:
            comparison = await comparer.every(query, self.against)
        else:
            comparison = await comparer.one(query, self.value, self.against)
        return encode_answer(comparison.now, **compared_answer(comparison, self.against, one=self.value is not None))


@router.get("/compare", response_model=CompareOne | CompareEach)
async def compare(
    live: LiveView,
    against: AgainstParam,
    window: WindowParam = Window.M5,
    scope: ScopeParam = ALL,
    value: ValueParam = None,
    promotion: PromotionParam = None,
    as_of: AsOfParam = None,
) -> Response:
    """Every KPI and counter now and then, with difference and ratio."""
    query = KpiQuery(window, scope, as_of, promotion or None)
    cached_query = CompareQuery(
        query, value=scope_value(live, scope, value), against=against, timezone=live.settings.timezone
    )
    return json_response(await answer_fields(live, cached_query))


def compared_answer(comparison: ComparedAnswer, against: ComparisonPeriod, *, one: bool) -> dict[str, Any]:
    """The fields of a comparison without the frame, for one value or for each."""
    fields = {"against": against.value, "then": _then(comparison.at)}
    return fields | (
        _item(comparison.items[0])
        if one
        else {"count": comparison.now.count, "items": [_item(item) for item in comparison.items]}
    )


def _then(at: ComparedMoment | None) -> dict[str, Any] | None:
    return None if at is None else {"as_of": at.as_of_ms, "offset_ms": at.offset_ms, "promotion": at.promotion}


def _item(item: ComparedItem) -> dict[str, Any]:
    fields = {"value": item.now.value or None, "then": _then(item.at), "values": item.now.values}
    if item.then is None:
        return fields | dict.fromkeys(("compared_value", "compared", "difference", "ratio"))
    differences_by_name = differences(item.now.values, item.then.values)
    return fields | {
        "compared_value": item.then.value or None,
        "compared": item.then.values,
        "difference": {name: number.difference for name, number in differences_by_name.items()},
        "ratio": {name: number.ratio for name, number in differences_by_name.items()},
    }
