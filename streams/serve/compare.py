"""`/api/v1/compare`: every number of a scope beside the same at another time."""

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
    """The moment that is compared with."""

    as_of: int
    """Epoch ms."""
    offset_ms: int
    """From there to the as-of that is compared."""
    promotion: str | None
    """The baseline, or the promotion whose time window `promotion` covered; else null."""


class ComparedNumbers(ApiModel):
    values: Values
    """Now."""
    compared: Values | None
    """Then; null, as `difference` and `ratio`, for a promotion in a list that has no baseline."""
    difference: Values | None
    """values - compared; null where either is."""
    ratio: Values | None
    """values / compared; null where either is null or `compared` is 0."""


class ComparedItemAnswer(ComparedNumbers):
    """One value of the scope."""

    value: str
    compared_value: str | None
    """The value that it is compared with: of a promotion the baseline, else the same."""
    then: ComparedMomentAnswer | None


class ComparedFrame(KpiFrame):
    """Both moments: `as_of` is the one now."""

    against: ComparisonPeriod
    then: ComparedMomentAnswer | None
    """Null where each item is compared by a clock of its own, or there is none."""


class CompareOne(ComparedFrame, ComparedNumbers):
    """One value of a scope, compared."""

    value: str | None
    compared_value: str | None


class CompareEach(ComparedFrame):
    """Each value of a scope with any counter not 0 now, the largest by GMV first, at most 1,000, compared."""

    count: int
    """How many such values there are. More than 1,000: `items` are the first 1,000 of them."""
    items: list[ComparedItemAnswer]


@dataclass(frozen=True, slots=True)
class CompareQuery(CachedKpiQuery):
    """What `compare` asks for: an `Ask`."""

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
    """Every KPI and counter now and then, their difference and ratio."""
    query = KpiQuery(window, scope, as_of, promotion or None)
    cached_query = CompareQuery(
        query, value=scope_value(scope, value), against=against, timezone=live.settings.timezone
    )
    return json_response(await answer_fields(live, cached_query))


def compared_answer(found: ComparedAnswer, against: ComparisonPeriod, *, one: bool) -> dict[str, Any]:
    """A comparison in the API's shape, without the frame: of one value, or of each."""
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
