"""`/api/v1/shipping`: waiting and overdue orders, expected breaches, and durations."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from streams.model.windows import Window
from streams.serve.answers import AnswerFrame, LiveView, Values, WindowParam, frame_fields, require_ready
from streams.serve.encoding import ApiModel, json_response
from streams.serve.errors import ERRORS
from streams.view.shipping_report import ShippingGroup, shipping_report

router = APIRouter(prefix="/api/v1", tags=["Shipping"], responses=ERRORS)


class DurationsAnswer(ApiModel):
    """How long intervals of one kind took, hours; null without any."""

    count: int
    mean: float | None
    p50: float | None
    """Within 2 %, like `p90`; null for 6 minutes or less."""
    p90: float | None


class ShippingGroupAnswer(ApiModel):
    """The whole shop, or one region, carrier or warehouse."""

    values: Values
    """The shipping KPIs. By carrier and warehouse, those of orders not dispatched yet are null."""
    shipped_in_time: int
    """Of the orders dispatched in the window, those dispatched within 48 h of payment."""
    ship: DurationsAnswer
    """From payment to dispatch, of orders dispatched in the window."""
    delivery: DurationsAnswer
    """From dispatch to delivery, of orders delivered in the window."""


class ShippingItem(ShippingGroupAnswer):
    """One region, carrier or warehouse."""

    value: str


class BreachesAnswer(ApiModel):
    """Expected breaches in one future hour."""

    start: int
    """Epoch ms."""
    end: int
    falling_due: int
    """Orders waiting now that reach 48 h after payment in this hour."""
    expected: float
    """How many of them are expected not to be dispatched by then."""
    low: float
    """90 % interval from `low` to `high`, if the rate of dispatch does not change."""
    high: float


class ShippingAnswer(AnswerFrame):
    """The shipping report at the newest as-of."""

    window: Window
    by: str
    whole: ShippingGroupAnswer
    items: list[ShippingItem]
    """The most overdue first, then those with most dispatches."""
    hazard_per_hour: float
    """Probability that a waiting order is dispatched within an hour, from the last 24 h."""
    forecast: list[BreachesAnswer]


@router.get("/shipping", response_model=ShippingAnswer)
async def shipping(
    live: LiveView,
    window: WindowParam = Window.H24,
    by: Annotated[Literal["region", "carrier", "warehouse"], Query(description="Dimension of the items.")] = "region",
    hours: Annotated[int, Query(ge=1, le=48, description="Hours to forecast.")] = 12,
) -> Response:
    """Waiting and overdue orders, durations, and expected breaches of the next hours."""
    require_ready(live)
    report = await live.ask(lambda view, at_ms: shipping_report(view, window, by, hours, at_ms), pause_polling=True)
    return json_response(
        frame_fields(live, report.as_of_ms, newest=True)
        | {
            "window": window,
            "by": by,
            "whole": _group_fields(report.whole),
            "items": [{"value": group.value, **_group_fields(group)} for group in report.items],
            "hazard_per_hour": report.hazard_per_hour,
            "forecast": [
                {
                    "start": breaches.start_s * 1000,
                    "end": breaches.end_s * 1000,
                    "falling_due": breaches.falling_due,
                    "expected": breaches.expected,
                    "low": breaches.low,
                    "high": breaches.high,
                }
                for breaches in report.forecast
            ],
        }
    )


def _group_fields(group: ShippingGroup) -> dict[str, object]:
    return {
        "values": dict(group.values),
        "shipped_in_time": group.shipped_in_time,
        "ship": asdict(group.ship),
        "delivery": asdict(group.delivery),
    }
