"""Questions as they come over HTTP, and the frame that every answer about KPIs stands in."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Query, Request
from pydantic import BaseModel, ConfigDict

from consumers.contract.events import MAX_TS_MS
from streams.model.kpis import Number
from streams.model.windows import Window
from streams.panes.scopes import Scope
from streams.serve.errors import ApiError
from streams.serve.live import Live
from streams.view.cached_queries import CachedQuery, EncodedAnswer
from streams.view.query import NotReadyError


async def get_live(request: Request) -> Live:
    """The view that this app follows. No dependency is a plain function: it would be called in another thread."""
    live: Live = request.app.state.live
    return live


LiveView = Annotated[Live, Depends(get_live)]
WindowParam = Annotated[Window, Query(description="How far back from the as-of.")]
ScopeParam = Annotated[Scope, Query(description="The dimension that is cut by.")]
ValueParam = Annotated[str | None, Query(max_length=128, description="One value of the scope.")]
PromotionParam = Annotated[
    str | None,
    Query(max_length=128, description="Whose time window `promotion` means; by default the one that started last."),
]
AsOfParam = Annotated[
    int | None, Query(ge=0, le=MAX_TS_MS, description="Epoch ms of an earlier moment; by default the newest.")
]


class AnswerFrame(BaseModel):
    """What every answer about KPIs says of itself."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    as_of: int
    """Event time, epoch ms, up to which the answer counts."""
    timezone: str
    """IANA time zone in which window `day` begins."""
    currency: str
    """ISO 4217."""
    currency_exponent: int
    """Money is an integer of minor units: divide by 10 to this power."""
    live: bool
    """Whether this is the newest as-of and may be taken for the present; if not, /readyz says why."""
    stale: list[str]
    """Partitions without word from their worker for too long."""
    not_in_as_of: list[str]
    """Topics that the as-of does not wait for (setting `as_of_topics`): the newest of their events may be missing."""
    age_ms: int
    """How far the as-of is behind the clock (Redis's), never negative."""
    incomplete_since: int | None
    """Event time, epoch ms, from which events were lost before they were counted, so that numbers may be too low from
    then on; null where none are known to be. 1: at an unknown time."""


class KpiFrame(AnswerFrame):
    """The frame of answers for one window and scope."""

    window: Window
    scope: Scope
    promotion: str | None
    """The promotion whose time window `promotion` covered; null in other windows, and where each item has its own."""


Values = dict[str, Number]
"""Every counter, distinct count and KPI by name; null where the scope has none or a denominator is 0."""


async def answer_fields(live: Live, cached_query: CachedQuery[EncodedAnswer]) -> dict[str, Any]:
    """The whole answer: the fields of `KpiFrame` and its own.

    Raises:
        NotReadyError: while there is no as-of.
    """
    if cached_query.newest:
        require_ready(live)
    told = await live.get_answer(cached_query)
    head = told.answer
    about = {"window": head.window, "scope": head.scope, "promotion": head.promotion}
    return {**frame_fields(live, head.as_of_ms, newest=cached_query.newest), **about, **told.fields}


def require_ready(live: Live) -> int:
    """The newest as-of. Raises NotReadyError while there is none."""
    newest_ms = live.newest_ms()
    if newest_ms is None:
        raise NotReadyError("; ".join(live.answer_status().reasons) or "there is no as-of yet: ask again soon")
    return newest_ms


def frame_fields(live: Live, as_of_ms: int, *, newest: bool) -> dict[str, Any]:
    """The fields of `AnswerFrame`. `newest`: whether the newest as-of was asked for."""
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


def scope_value(scope: Scope, value: str | None) -> str | None:
    """The value that is asked about as the view names it; None where the scope is asked about value by value."""
    if scope is Scope.ALL:
        if value:
            raise ApiError(
                422, "invalid_parameter", f"scope all has no values: leave value={value!r} out, or name a scope"
            )
        return ""
    return value or None
