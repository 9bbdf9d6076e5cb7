"""Stock: SKUs that run out, and SKUs out of stock."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.board import Board
from deploy.grafana.boards.age import age
from deploy.grafana.panels import Column, Line, Panel, Panels, high_is_good, low_is_good
from deploy.grafana.queries import kpi, of, promoted, top
from deploy.grafana.words import Text

UID = "salepulse-stock"


def build(panels: Panels) -> Dashboard:
    """The dashboard."""
    board = Board(
        panels,
        UID,
        Text("stock", "库存"),
        Text(
            "The SKUs that sell most, and those on promotion that are out of stock or near its end. The API has all.",
            "销量靠前的商品,以及已缺货或即将售罄的大促商品。全部商品见 API。",
        ),
    )
    board.found("promotion", Text("Promotion", "大促"), of("promotion_elapsed_ratio"), "promotion")
    skus = of("stock_available", 'scope="sku"', 'window="5m"', 'value!=""')
    board.found("sku", Text("SKUs", "商品"), skus, "value", several=True)
    board.first(*_tiles(panels))
    board.row(Text("SKUs", "商品"), _table(panels), *_trends(panels))
    return board.build()


def _of_skus(name: str, window: str = "5m") -> str:
    return kpi(name, window=window, scope="sku", by="value", value='=~"$sku", value!=""')


def _tiles(panels: Panels) -> list[Panel]:
    return [
        age(panels),
        panels.tile(
            Text("Out of stock", "缺货商品数"),
            Text("Of all SKUs with a known level.", "在有库存记录的商品中。"),
            Line(kpi("stockout_skus", window="5m"), ""),
            "short",
            steps=low_is_good(1, 20),
        ),
        panels.tile(
            Text("Fill rate", "有货率"),
            Text("SKUs in stock over all with a known level.", "有货商品数除以有库存记录的商品数。"),
            Line(kpi("stock_fill_rate", window="5m"), ""),
            "percentunit",
            steps=high_is_good(0.9, 0.97),
            decimals=1,
        ),
        panels.tile(
            Text("Out of stock, on promotion", "大促缺货商品数"),
            Text("Of the SKUs that the promotion names.", "在大促指定的商品中。"),
            Line(promoted("stockout_skus"), ""),
            "short",
            steps=low_is_good(1, 5),
        ),
        panels.tile(
            Text("Fill rate, on promotion", "大促有货率"),
            Text("Of the SKUs that the promotion names.", "在大促指定的商品中。"),
            Line(promoted("stock_fill_rate"), ""),
            "percentunit",
            steps=high_is_good(0.95, 0.99),
            decimals=1,
        ),
        panels.tile(
            Text("Units sold", "售出件数"),
            Text("Of the promotion, since it began.", "大促开始以来。"),
            Line(promoted("units"), ""),
            "short",
        ),
    ]


def _table(panels: Panels) -> Panel:
    return panels.rows(
        Text("By time to stock-out", "按售罄时间"),
        Text(
            "At the pace of the last 15 minutes. Empty: nothing sells, or the level is not known.",
            "按近 15 分钟销速。为空:未售出,或库存未知。",
        ),
        ("value", Text("SKU", "商品")),
        [
            Column(Text("runs out in", "剩余可售时间"), _of_skus("minutes_to_stockout"), "m", high_is_good(30, 120)),
            Column(Text("available", "可售"), _of_skus("stock_available"), "short", high_is_good(1, 10)),
            Column(Text("sold in 5 min", "5 分钟售出"), _of_skus("units"), "short"),
            Column(Text("sell-through", "售罄率"), _of_skus("sell_through"), "percentunit"),
            Column(Text("oversold", "超卖"), _of_skus("oversold_units"), "short", low_is_good(1, 1)),
            Column(Text("GMV of the promotion", "大促成交额"), _of_skus("gmv", "promotion"), panels.money),
        ],
        height=12,
        ascending=True,
    )


def _trends(panels: Panels) -> list[Panel]:
    returned = top("", of("returned_units", 'window="promotion"', 'scope="all"'))
    return [
        panels.trend(
            Text("Available", "可售库存"),
            Text("Of the ten SKUs with the least.", "可售最少的十个商品。"),
            [Line(f"bottomk(10, {_of_skus('stock_available')})", "{{value}}")],
            "short",
        ),
        panels.trend(
            Text("Out of stock", "缺货商品数"),
            Text(
                "SKUs with nothing left, and units that were sold though they were not there.",
                "无货商品数,以及超卖件数。",
            ),
            [
                Line(kpi("stockout_skus", window="5m"), Text("SKUs out of stock", "缺货商品")),
                Line(f"sum({_of_skus('oversold_units')})", Text("oversold units", "超卖件数")),
            ],
            "short",
        ),
        panels.trend(
            Text("Units sold in five minutes", "五分钟售出件数"),
            Text("Of the ten SKUs that sell most.", "销量前十的商品。"),
            [Line(f"topk(10, {_of_skus('units')})", "{{value}}")],
            "short",
        ),
        panels.trend(
            Text("Units sold and returned", "售出与退回件数"),
            Text("Of the whole shop, since the promotion began.", "大促开始以来全店。"),
            [
                Line(kpi("units", window="promotion"), Text("sold", "售出")),
                Line(returned, Text("returned", "退回")),
            ],
            "short",
        ),
    ]
