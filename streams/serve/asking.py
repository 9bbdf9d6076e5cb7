"""Questions as they come over HTTP, and the frame that every answer about KPIs stands in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from pydantic import BaseModel, ConfigDict

from consumers.events import MAX_TS_MS
from streams.kpis import Number
from streams.scopes import Scope
from streams.serve.errors import ApiError
from streams.serve.live import Live
from streams.view.asking import Answer, Item, NotReadyError, Question
from streams.windows import Window


def live_of(request: Request) -> Live:
    """The view that this app follows."""
    live: Live = request.app.state.live
    return live


LiveView = Annotated[Live, Depends(live_of)]
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


class Frame(BaseModel):
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
    age_ms: int
    """How far the as-of is behind the machine's clock."""


class KpiFrame(Frame):
    """The frame of answers for one window and scope."""

    window: Window
    scope: Scope
    promotion: str | None
    """The promotion whose time window `promotion` covered; null in other windows, and where each item has its own."""


Values = dict[str, Number]
"""Every counter, distinct count and KPI by name; null where the scope has none or a denominator is 0."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and the moment it was asked at."""

    question: Question
    live: Live
    at_ms: int
    newest_ms: int

    @classmethod
    def of(cls, live: Live, question: Question) -> Asked:
        """Raises NotReadyError while there is no as-of."""
        newest_ms = live.view.as_of(live.at_ms).ms
        if newest_ms is None:
            raise NotReadyError("; ".join(live.standing().reasons) or "there is no as-of yet: ask again soon")
        return cls(question, live, live.at_ms, newest_ms)

    def frame(self, as_of_ms: int) -> dict[str, Any]:
        """The fields of `Frame`."""
        settings, standing = self.live.settings, self.live.standing()
        newest = self.question.as_of_ms is None or as_of_ms >= self.newest_ms
        return {
            "as_of": as_of_ms,
            "timezone": settings.timezone,
            "currency": settings.currency,
            "currency_exponent": settings.currency_exponent,
            "live": standing.live and newest,
            "stale": [str(partition) for partition in standing.stale],
            "age_ms": (standing.age_ms or 0) + (standing.as_of_ms or as_of_ms) - as_of_ms,
        }

    def kpi_frame(self, answer: Answer) -> dict[str, Any]:
        """The fields of `KpiFrame`."""
        return self.frame(answer.as_of_ms) | {
            "window": answer.window,
            "scope": answer.scope,
            "promotion": answer.promotion,
        }


def one_value(scope: Scope, value: str | None) -> str | None:
    """The value that is asked about as the view names it; None where the scope is asked about value by value."""
    if scope is Scope.ALL:
        if value:
            raise ApiError(
                422, "invalid_parameter", f"scope all has no values: leave value={value!r} out, or name a scope"
            )
        return ""
    return value or None


def item(held: Item) -> dict[str, Any]:
    """One item of a list."""
    return {"value": held.value, "values": held.values}
