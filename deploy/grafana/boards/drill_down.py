"""The shop by its parts: channel, region, category, campaign and the like."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.board import PART_WINDOWS, Board
from deploy.grafana.boards.age import age
from deploy.grafana.panels import Column, Line, Panel, Panels, Steps, high_is_good, low_is_good
from deploy.grafana.queries import kpi, of, values_and_rest
from deploy.grafana.words import Text

UID = "salepulse-drill-down"
SCOPES = ("channel", "region", "category", "campaign", "live_room", "variant", "member")
CHOSEN = '=~"$value"'
HERE = "/d/salepulse-drill-down?${__url_time_range}&${scope:queryparam}&${window:queryparam}&var-value="
TO_ONE = (Text("Only this one", "只看此项"), HERE + "${__field.labels.value:percentencode}")
TO_ROW = (Text("Only this one", "只看此项"), HERE + "${__value.raw:percentencode}")


def build(panels: Panels) -> Dashboard:
    """The dashboard."""
    board = Board(
        panels,
        UID,
        Text("drill-down", "下钻分析"),
        Text(
            "The shop by channel, region, category, campaign, live room, test arm or membership.",
            "按渠道、地区、品类、活动、直播间、实验组或会员查看。",
        ),
    )
    board.choice("scope", Text("By", "维度"), SCOPES, "channel")
    board.choice("window", Text("Window", "窗口"), PART_WINDOWS, "5m")
    board.found(
        "value",
        Text("Values", "取值"),
        of("page_views", 'scope="$scope"', 'window="$window"'),
        "value",
        several=True,
    )
    board.first(*_whole(panels))
    board.row(Text("By $scope", "按 $scope"), _table(panels))
    board.row(Text("Sales", "销售"), *_sales(panels))
    board.row(Text("Ways to buy", "转化"), *_ways(panels))
    board.row(Text("What comes back", "取消与退款"), *_back(panels))
    return board.build()


def _by_value(name: str) -> str:
    return values_and_rest(name, scope="$scope", value=CHOSEN)


def _line(name: str) -> list[Line]:
    return [Line(_by_value(name), "{{value}}")]


def _whole(panels: Panels) -> list[Panel]:
    conversion = Text("Conversion", "转化率")
    in_window = Text("Of the whole shop, in the window.", "全店,所选窗口内。")
    return [
        age(panels),
        panels.tile(Text("GMV", "成交额"), in_window, Line(kpi("gmv"), ""), panels.money),
        panels.tile(Text("Paid orders", "支付订单"), in_window, Line(kpi("orders_paid"), ""), "short"),
        panels.tile(Text("Order value", "客单价"), in_window, Line(kpi("aov"), ""), panels.money),
        panels.tile(Text("Visitors", "访客"), in_window, Line(kpi("visitors"), ""), "short"),
        panels.tile(conversion, in_window, Line(kpi("conversion_rate"), ""), "percentunit", decimals=2),
    ]


def _table(panels: Panels) -> Panel:
    columns = [
        Column(Text("GMV", "成交额"), _by_value("gmv"), panels.money),
        Column(Text("net GMV", "净成交额"), _by_value("net_gmv"), panels.money),
        Column(Text("paid orders", "支付订单"), _by_value("orders_paid"), "short"),
        Column(Text("order value", "客单价"), _by_value("aov"), panels.money),
        Column(Text("visitors", "访客"), _by_value("visitors"), "short"),
        Column(Text("conversion", "转化率"), _by_value("conversion_rate"), "percentunit"),
        Column(Text("paid of ordered", "支付率"), _by_value("payment_rate"), "percentunit", high_is_good(0.6, 0.8)),
        Column(
            Text("payments that fail", "支付失败率"),
            _by_value("payment_failure_rate"),
            "percentunit",
            low_is_good(0.08, 0.15),
        ),
    ]
    return panels.rows(
        Text("Numbers of each", "各项指标"),
        Text(
            "The largest by GMV; (rest) is all others together. The API has every value.",
            "按成交额取前列,其余合并为 (rest);全部取值见 API。",
        ),
        ("value", Text("value", "取值")),
        columns,
        height=10,
        link=TO_ROW,
    )


def _sales(panels: Panels) -> list[Panel]:
    total = kpi("gmv")
    return [
        panels.trend(
            Text("GMV", "成交额"),
            Text("Paid within the window. A line leads to its value alone.", "窗口内支付金额。点击曲线只看该项。"),
            _line("gmv"),
            panels.money,
            stacked=True,
            link=TO_ONE,
        ),
        panels.trend(
            Text("Share of GMV", "成交额占比"),
            Text("Of the whole shop's GMV in the window.", "占全店窗口内成交额。"),
            [Line(f"{_by_value('gmv')} / scalar({total} > 0)", "{{value}}")],
            "percentunit",
        ),
        panels.trend(
            Text("Paid orders", "支付订单"), Text("In the window.", "窗口内。"), _line("orders_paid"), "short"
        ),
        panels.trend(
            Text("Order value", "客单价"),
            Text("GMV over paid orders, in the window.", "窗口内成交额除以支付订单数。"),
            _line("aov"),
            panels.money,
        ),
    ]


def _ways(panels: Panels) -> list[Panel]:
    return [
        panels.trend(
            Text("Conversion", "转化率"),
            Text("Buyers over visitors, in the window.", "窗口内支付人数除以访客数。"),
            _line("conversion_rate"),
            "percentunit",
            width=8,
        ),
        panels.trend(
            Text("Views that go into the cart", "加购率"),
            Text("Additions to the cart over product views.", "加购次数除以商品浏览次数。"),
            _line("cart_rate"),
            "percentunit",
            width=8,
        ),
        panels.trend(
            Text("Orders that are paid", "支付率"),
            Text("Paid over created orders, in the window.", "窗口内支付订单除以下单数。"),
            _line("payment_rate"),
            "percentunit",
            width=8,
        ),
        panels.trend(
            Text("Visitors", "访客"), Text("Distinct, in the window.", "窗口内去重人数。"), _line("visitors"), "short"
        ),
        panels.bars(
            Text("Payments that fail", "支付失败率"),
            Text("Failed payments over all that were tried.", "支付失败次数除以全部支付尝试。"),
            _line("payment_failure_rate"),
            "percentunit",
            steps=low_is_good(0.08, 0.15),
            width=12,
        ),
    ]


def _back(panels: Panels) -> list[Panel]:
    shares = Steps(("green", "yellow", "red"), (0.1, 0.2))
    return [
        panels.bars(
            Text("Orders that are cancelled", "取消率"),
            Text("Cancelled over created orders, in the window.", "窗口内取消订单除以下单数。"),
            _line("cancellation_rate"),
            "percentunit",
            steps=shares,
            width=12,
        ),
        panels.bars(
            Text("Orders that are refunded", "退款率"),
            Text("Refunded over paid orders, in the window.", "窗口内退款订单除以支付订单数。"),
            _line("refund_rate"),
            "percentunit",
            steps=shares,
            width=12,
        ),
    ]
