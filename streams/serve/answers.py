"""Query parameters, and the frame of all answers about KPIs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Query, Request

from consumers.contract.events import MAX_TS_MS
from streams.dictionary.names import ALL
from streams.model.kpis import Number
from streams.model.windows import Window
from streams.serve.encoding import ApiModel
from streams.serve.errors import ApiError, unknown_value_error
from streams.serve.live import Live
from streams.view.cached_queries import CachedQuery, EncodedAnswer
from streams.view.query import NotReadyError


async def get_live(request: Request) -> Live:
    """The view of this app. Dependencies are async: FastAPI calls plain functions in other threads."""
    live: Live = request.app.state.live
    return live


LiveView = Annotated[Live, Depends(get_live)]
WindowParam = Annotated[Window, Query(description="Time span before the as-of.")]

ScopeParam = Annotated[str, Query(description="Dimension to group by.")]
"""Check it with `require_scope`, because the names depend on the model in force."""
ValueParam = Annotated[str | None, Query(max_length=1024, description="One value of the scope.")]
PromotionParam = Annotated[
    str | None,
    Query(max_length=128, description="Promotion covered by window `promotion`; by default the one that started last."),
]
AsOfParam = Annotated[int | None, Query(ge=0, le=MAX_TS_MS, description="As-of, epoch ms; by default the newest.")]


class AnswerFrame(ApiModel):
    """Fields of every answer about KPIs."""

    as_of: int
    """Event time, epoch ms, up to which everything is counted."""
    timezone: str
    """IANA time zone in which window `day` begins."""
    currency: str
    """ISO 4217."""
    currency_exponent: int
    """Money is an integer of minor units: divide by 10 to this power."""
    live: bool
    """Whether the answer shows the present; if not, /readyz has the reasons."""
    stale: list[str]
    """Partitions without a recent heartbeat of a worker."""
    not_in_as_of: list[str]
    """Topics that the as-of does not wait for (setting `as_of_topics`): their newest events may be missing."""
    age_ms: int
    """How far the as-of is behind Redis's clock, never negative."""
    incomplete_since: int | None
    """Event time, epoch ms, from which records were lost before they were counted, so that numbers may be too low; null
    if none were. 1: the time is unknown."""


class KpiFrame(AnswerFrame):
    """Fields of answers for one window and scope."""

    window: Window
    scope: str
    promotion: str | None
    """The promotion covered by window `promotion`; null in other windows, and if each item has its own."""


Values = dict[str, Number]
"""Every counter, distinct count and KPI by name; null if the scope lacks it or a denominator is 0."""


async def answer_fields(live: Live, cached_query: CachedQuery[EncodedAnswer]) -> dict[str, Any]:
    """The whole answer: the fields of `KpiFrame` and its own.

    Raises:
        NotReadyError: there is no as-of yet.
    """
    if cached_query.newest:
        require_ready(live)
    encoded = await live.get_answer(cached_query)
    head = encoded.answer
    about = {"window": head.window, "scope": head.scope, "promotion": head.promotion}
    return {**frame_fields(live, head.as_of_ms, newest=cached_query.newest), **about, **encoded.fields}


def require_ready(live: Live) -> int:
    """The newest as-of. Raises NotReadyError if there is none yet."""
    newest_ms = live.newest_ms()
    if newest_ms is None:
        raise NotReadyError("; ".join(live.answer_status().reasons) or "there is no as-of yet: retry in a few seconds")
    return newest_ms


def frame_fields(live: Live, as_of_ms: int, *, newest: bool) -> dict[str, Any]:
    """The fields of `AnswerFrame`. `newest`: whether the query asked for the newest as-of."""
    settings, answer_status = live.settings, live.answer_status(as_of_ms)
    return {
        "as_of": as_of_ms,
        "timezone": settings.timezone,
        "currency": settings.currency,
        "currency_exponent": settings.money_exponent,
        "live": answer_status.live
        and (newest or (answer_status.as_of_ms is not None and as_of_ms >= answer_status.as_of_ms)),
        "stale": [str(partition) for partition in answer_status.stale],
        "not_in_as_of": [topic.value for topic in settings.not_in_as_of],
        "age_ms": max(0, live.now_ms() - as_of_ms),
        "incomplete_since": live.state.incomplete_since_ms,
    }


def require_scope(live: Live, scope: str) -> None:
    """Raise ApiError `unknown_scope` if the model in force has no such dimension."""
    known = live.model.dimensions
    if scope not in known:
        raise unknown_value_error("scope", scope, known)


def scope_value(live: Live, scope: str, value: str | None) -> str | None:
    """The value to query; None: each value of the scope. Raises ApiError for an unknown scope."""
    require_scope(live, scope)
    if scope == ALL:
        if value:
            raise ApiError(422, "invalid_parameter", f"scope all has no values: remove value={value!r}, or add scope=")
        return ""
    return value or None
