"""`/api/v1/stock`: stock of SKUs, stockouts, and what to order."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from streams.model.kpis import Number
from streams.serve.answers import AnswerFrame, AsOfParam, LiveView, PromotionParam, Values, frame_fields, require_ready
from streams.serve.encoding import ApiModel, json_response
from streams.serve.errors import ERRORS
from streams.serve.paths import PathId
from streams.stock.forecast import COVERAGE, StockOutInterval
from streams.stock.inventory import AbcClass
from streams.view.stock_outlook import Outage, SkuOutlook, StockOutlook

router = APIRouter(prefix="/api/v1", tags=["Stock"], responses=ERRORS)


class WarehouseAnswer(ApiModel):
    """Stock of one warehouse: its newest count, and receipts and adjustments after it."""

    warehouse: str
    units: int
    """Without orders: the warehouse that they ship from is not known yet."""
    counted_at: int
    """Time of the count, epoch ms."""


class StockoutAnswer(ApiModel):
    """Minutes until the stock runs out, as an interval with probability `coverage`."""

    low: float
    high: float | None
    """Null: unbounded."""
    coverage: float


class OutageAnswer(ApiModel):
    """The outage of a SKU."""

    since: int | None
    """Epoch ms; null: longer ago than a day."""
    gmv_at_risk_per_hour: int | None
    """GMV per hour in the 15 minutes before, minor units; null if `since` is null."""


class SkuStockAnswer(AnswerFrame):
    """One SKU. All fields are null for a SKU that was never counted."""

    sku: str
    promotion: str | None
    """The promotion of `sold` and `sell_through`."""
    available: int | None
    """Negative if more was ordered than available."""
    sold: int | None
    """Units ever paid with the promotion's id."""
    sell_through: Number
    minutes_to_stockout: Number
    stockout: StockoutAnswer | None
    """Null without sales."""
    oversold_units: int | None
    outage: OutageAnswer | None
    """Null while in stock."""
    units_per_hour: int
    """Paid in the last hour."""
    replenish: int | None
    """Units to order now to cover the lead time and the horizon after it (settings)."""
    overstock: int | None
    """Units beyond the sales of `stock_limit_d` days."""
    abc: AbcClass
    """By GMV of the last 24 h."""
    warehouses: list[WarehouseAnswer]


class SoonItemAnswer(ApiModel):
    """A SKU whose stock runs out soon."""

    value: str
    values: Values
    """In window 24h."""


class OutItemAnswer(SoonItemAnswer):
    """A SKU that is out of stock."""

    outage: OutageAnswer


class StockAnswer(AnswerFrame):
    """Stock of the shop; the lists are of the 1,000 best-selling SKUs of 24 h."""

    stockout_skus: int
    stock_fill_rate: float | None
    gmv_at_risk_per_hour: int
    """Of all items in `out`, minor units."""
    out: list[OutItemAnswer]
    """Out of stock, the most GMV at risk first."""
    soon: list[SoonItemAnswer]
    """Those that run out within the setting `stock_soon_min`, soonest first."""


@router.get("/stock", response_model=StockAnswer)
async def whole_stock(
    live: LiveView,
    n: Annotated[int, Query(ge=1, le=1000, description="Maximum length of each list.")] = 50,
    as_of: AsOfParam = None,
) -> Response:
    """SKUs out of stock with GMV at risk, and SKUs that run out next."""
    if as_of is None:
        require_ready(live)
    outlook = await live.ask(
        lambda view, at_ms: StockOutlook(view, live.settings, at_ms).of_shop(n, as_of), pause_polling=True
    )
    return json_response(
        frame_fields(live, outlook.as_of_ms, newest=as_of is None)
        | {name: outlook.values[name] for name in ("stockout_skus", "stock_fill_rate")}
        | {
            "gmv_at_risk_per_hour": outlook.gmv_at_risk_per_hour,
            "out": [
                {"value": item.value, "values": item.values, "outage": _outage(outage)} for item, outage in outlook.out
            ],
            "soon": outlook.soon,
        }
    )


@router.get("/stock/{sku}", response_model=SkuStockAnswer)
async def stock_of_sku(
    live: LiveView,
    sku: Annotated[PathId, Path(min_length=1, max_length=128)],
    promotion: PromotionParam = None,
    as_of: AsOfParam = None,
) -> Response:
    """Stock, sales and outlook of one SKU."""
    if as_of is None:
        require_ready(live)
    outlook = await live.ask(
        lambda view, at_ms: StockOutlook(view, live.settings, at_ms).of_sku(sku, promotion or None, as_of),
        pause_polling=True,
    )
    return json_response(frame_fields(live, outlook.as_of_ms, newest=as_of is None) | _of_sku(outlook))


def _of_sku(outlook: SkuOutlook) -> dict[str, Any]:
    values = outlook.values
    return {
        "sku": outlook.sku,
        "promotion": outlook.promotion,
        "available": values["stock_available"],
        "sold": outlook.sold,
        "sell_through": values["sell_through"],
        "minutes_to_stockout": values["minutes_to_stockout"],
        "stockout": _stockout(outlook.stockout),
        "oversold_units": values["oversold_units"],
        "outage": None if outlook.outage is None else _outage(outlook.outage),
        "units_per_hour": outlook.units_per_hour,
        "replenish": outlook.replenish,
        "overstock": outlook.overstock,
        "abc": outlook.abc,
        "warehouses": [
            {"warehouse": shelf.warehouse, "units": shelf.units, "counted_at": shelf.counted_ms}
            for shelf in outlook.shelves
        ],
    }


def _stockout(interval: StockOutInterval | None) -> dict[str, float | None] | None:
    return None if interval is None else {"low": interval.low, "high": interval.high, "coverage": COVERAGE}


def _outage(outage: Outage) -> dict[str, int | None]:
    return {"since": outage.since_ms, "gmv_at_risk_per_hour": outage.gmv_at_risk_per_hour}
