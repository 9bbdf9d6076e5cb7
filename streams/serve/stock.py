"""`/api/v1/stock`: what is there of a SKU, when it runs out, and what runs out next."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from streams.model.kpis import Number
from streams.serve.answers import AnswerFrame, AsOfParam, LiveView, PromotionParam, Values, frame_fields, require_ready
from streams.serve.encoding import ApiModel, json_response
from streams.serve.errors import ERRORS
from streams.serve.paths import PathId
from streams.stock.abc_classes import AbcClass
from streams.stock.forecast import COVERAGE, StockOutInterval
from streams.view.cached_queries import item_fields
from streams.view.stock_outlook import Outage, SkuOutlook, StockOutlook

router = APIRouter(prefix="/api/v1", tags=["Stock"], responses=ERRORS)


class WarehouseAnswer(ApiModel):
    """What one warehouse has: its newest count, and what was received and adjusted after it."""

    warehouse: str
    units: int
    """Orders are not taken off: which warehouse they leave from is not known yet."""
    counted_at: int
    """When it was counted, epoch ms."""


class StockoutAnswer(ApiModel):
    """Minutes until the stock is gone, as an interval that holds the true moment in `coverage` of the cases."""

    low: float
    high: float | None
    """Null: it may last for ever."""
    coverage: float


class OutageAnswer(ApiModel):
    """Of a SKU that is out of stock."""

    since: int | None
    """Epoch ms; null: longer ago than a day."""
    gmv_at_risk_per_hour: int | None
    """GMV an hour that it made in the 15 minutes up to that minute, minor units; null where `since` is."""


class SkuStockAnswer(AnswerFrame):
    """One SKU. All is null of a SKU that was never counted."""

    sku: str
    promotion: str | None
    """The promotion that `sold` and `sell_through` are about."""
    available: int | None
    """Below 0 where more was ordered than there was."""
    sold: int | None
    """Units paid with the promotion's id, ever."""
    sell_through: Number
    minutes_to_stockout: Number
    stockout: StockoutAnswer | None
    """Null where nothing sells."""
    oversold_units: int | None
    outage: OutageAnswer | None
    """Null while there is stock."""
    units_per_hour: int
    """Paid in the last hour."""
    replenish: int | None
    """Units to order now so that stock lasts through the lead time and the horizon after it (settings)."""
    overstock: int | None
    """Units beyond what sells in `stock_limit_d` days."""
    abc: AbcClass
    """By GMV of the last 24 h."""
    warehouses: list[WarehouseAnswer]


class OutItemAnswer(ApiModel):
    """A SKU that is out of stock."""

    value: str
    values: Values
    """In window 24h."""
    outage: OutageAnswer


class SoonItemAnswer(ApiModel):
    """A SKU that is near the end of its stock."""

    value: str
    values: Values
    """In window 24h."""


class StockAnswer(AnswerFrame):
    """The whole shop; the lists are of the 1,000 SKUs that sold best in 24 h."""

    stockout_skus: int
    stock_fill_rate: float | None
    gmv_at_risk_per_hour: int
    """Of all in `out`, minor units."""
    out: list[OutItemAnswer]
    """Out of stock, those that cost the most first."""
    soon: list[SoonItemAnswer]
    """They run out within the setting `stock_soon_min`, the first first."""


@router.get("/stock", response_model=StockAnswer)
async def whole_stock(
    live: LiveView,
    n: Annotated[int, Query(ge=1, le=1000, description="Longest length of each list.")] = 50,
    as_of: AsOfParam = None,
) -> Response:
    """What is out of stock and what that costs, and what runs out next."""
    if as_of is None:
        require_ready(live)
    found = await live.ask(
        lambda view, at_ms: StockOutlook(view, live.settings, at_ms).of_shop(n, as_of), pause_polling=True
    )
    return json_response(
        frame_fields(live, found.as_of_ms, newest=as_of is None)
        | {name: found.values[name] for name in ("stockout_skus", "stock_fill_rate")}
        | {
            "gmv_at_risk_per_hour": found.gmv_at_risk_per_hour,
            "out": [item_fields(held) | {"outage": _outage(outage)} for held, outage in found.out],
            "soon": [item_fields(held) for held in found.soon],
        }
    )


@router.get("/stock/{sku}", response_model=SkuStockAnswer)
async def stock_of_sku(
    live: LiveView,
    sku: Annotated[PathId, Path(min_length=1, max_length=128)],
    promotion: PromotionParam = None,
    as_of: AsOfParam = None,
) -> Response:
    """What is there of one SKU, what was sold, when it runs out, and what to do about it."""
    if as_of is None:
        require_ready(live)
    found = await live.ask(
        lambda view, at_ms: StockOutlook(view, live.settings, at_ms).of_sku(sku, promotion or None, as_of),
        pause_polling=True,
    )
    return json_response(frame_fields(live, found.as_of_ms, newest=as_of is None) | _of_sku(found))


def _of_sku(found: SkuOutlook) -> dict[str, Any]:
    values = found.values
    return {
        "sku": found.sku,
        "promotion": found.promotion,
        "available": values["stock_available"],
        "sold": found.sold,
        "sell_through": values["sell_through"],
        "minutes_to_stockout": values["minutes_to_stockout"],
        "stockout": _stockout(found.stockout),
        "oversold_units": values["oversold_units"],
        "outage": None if found.outage is None else _outage(found.outage),
        "units_per_hour": found.units_per_hour,
        "replenish": found.replenish,
        "overstock": found.overstock,
        "abc": found.abc,
        "warehouses": [
            {"warehouse": shelf.warehouse, "units": shelf.units, "counted_at": shelf.counted_ms}
            for shelf in found.shelves
        ],
    }


def _stockout(held: StockOutInterval | None) -> dict[str, float | None] | None:
    return None if held is None else {"low": held.low, "high": held.high, "coverage": COVERAGE}


def _outage(held: Outage) -> dict[str, int | None]:
    return {"since": held.since_ms, "gmv_at_risk_per_hour": held.gmv_at_risk_per_hour}
