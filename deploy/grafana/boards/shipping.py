"""Shipping: unshipped and overdue orders, shipping and delivery times."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.board import PART_WINDOWS, Board
from deploy.grafana.boards.age import age
from deploy.grafana.panels import Column, Line, Panel, Panels, high_is_good, low_is_good
from deploy.grafana.queries import kpi
from deploy.grafana.words import Text

UID = "salepulse-shipping"
RATES = high_is_good(0.85, 0.95)


def build(panels: Panels) -> Dashboard:
    """The dashboard."""
    board = Board(
        panels,
        UID,
        Text("shipping", "物流"),
        Text("Unshipped and overdue orders, shipping and delivery times.", "待发货、超时与时效。"),
        span="now-6h",
    )
    board.choice("window", Text("Window", "窗口"), PART_WINDOWS, "promotion")
    board.choice("scope", Text("By", "维度"), ("region", "channel"), "region")
    board.first(*_tiles(panels))
    board.row(Text("Trends", "走势"), *_trends(panels))
    board.row(Text("By $scope", "按 $scope"), *_parts(panels))
    return board.build()


def _tiles(panels: Panels) -> list[Panel]:
    return [
        age(panels),
        panels.tile(
            Text("Orders not shipped", "待发货订单"),
            Text("Paid, and neither dispatched nor cancelled.", "已支付、未发货且未取消。"),
            Line(kpi("unshipped_orders"), ""),
            "short",
        ),
        panels.tile(
            Text("Overdue", "超时未发货"),
            Text(
                "Of those, the ones paid longer ago than was promised (48 h, a setting).",
                "其中超过承诺时间(默认 48 小时)的。",
            ),
            Line(kpi("overdue_shipments"), ""),
            "short",
            steps=low_is_good(1, 100),
        ),
        panels.tile(
            Text("Overdue share", "超时占比"),
            Text("Overdue orders over orders not shipped.", "超时订单除以待发货订单。"),
            Line(f"{kpi('overdue_shipments')} / ({kpi('unshipped_orders')} > 0)", ""),
            "percentunit",
            steps=low_is_good(0.02, 0.1),
            decimals=1,
        ),
        panels.tile(
            Text("Time to dispatch", "发货用时"),
            Text("Mean time from payment to dispatch.", "从支付到发货的平均用时。"),
            Line(kpi("ship_hours"), ""),
            "h",
            decimals=1,
        ),
        panels.tile(
            Text("Time to delivery", "配送用时"),
            Text("Mean time from dispatch to delivery.", "从发货到签收的平均用时。"),
            Line(kpi("delivery_hours"), ""),
            "h",
            decimals=1,
        ),
    ]


def _trends(panels: Panels) -> list[Panel]:
    return [
        panels.trend(
            Text("Waiting and overdue", "待发货与超时"),
            Text(
                "Orders not shipped at each moment, and those of them that are overdue.",
                "各时刻待发货订单与其中超时的。",
            ),
            [
                Line(kpi("unshipped_orders"), Text("not shipped", "待发货")),
                Line(kpi("overdue_shipments"), Text("overdue", "超时")),
            ],
            "short",
        ),
        panels.trend(
            Text("Dispatched, delivered, delayed", "发货、签收与延误"),
            Text("Events in the window.", "窗口内的事件数。"),
            [
                Line(kpi("dispatched"), Text("dispatched", "发货")),
                Line(kpi("delivered"), Text("delivered", "签收")),
                Line(kpi("delayed"), Text("delayed", "延误")),
            ],
            "short",
        ),
        panels.trend(
            Text("Delivered on time", "准时送达率"),
            Text("Of the deliveries with a promise, those that kept it.", "有承诺时效的签收中准时的比例。"),
            [Line(kpi("on_time_delivery_rate"), Text("on time", "准时"))],
            "percentunit",
        ),
        panels.trend(
            Text("Paid orders and shipped ones", "支付与发货"),
            Text("The backlog grows where the lines diverge.", "两线分开时积压增加。"),
            [
                Line(kpi("orders_paid"), Text("paid", "支付")),
                Line(kpi("dispatched"), Text("dispatched", "发货")),
            ],
            "short",
        ),
    ]


def _parts(panels: Panels) -> list[Panel]:
    def by(name: str) -> str:
        return kpi(name, scope="$scope", by="value", value='!=""')

    return [
        panels.rows(
            Text("KPIs", "各项指标"),
            Text("Orders by the label of their payment.", "按支付时的标签归属。"),
            ("value", Text("value", "取值")),
            [
                Column(Text("not shipped", "待发货"), by("unshipped_orders"), "short"),
                Column(Text("overdue", "超时"), by("overdue_shipments"), "short", low_is_good(1, 100)),
                Column(Text("hours to dispatch", "发货用时"), by("ship_hours"), "h"),
                Column(Text("hours to delivery", "配送用时"), by("delivery_hours"), "h"),
                Column(Text("on time", "准时率"), by("on_time_delivery_rate"), "percentunit", RATES),
            ],
        ),
        panels.trend(
            Text("Not shipped", "待发货"),
            Text("Unshipped orders.", "待发货订单。"),
            [Line(by("unshipped_orders"), "{{value}}")],
            "short",
        ),
        panels.trend(
            Text("Time to dispatch", "发货用时"),
            Text("Mean time from payment to dispatch.", "从支付到发货的平均用时。"),
            [Line(by("ship_hours"), "{{value}}")],
            "h",
        ),
    ]
