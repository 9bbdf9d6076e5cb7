"""The war room: the state of the sale, the age of the data first."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.board import WINDOWS, Board
from deploy.grafana.boards.age import TO_PIPELINE, age
from deploy.grafana.panels import GREEN, GREY, RED, Column, Line, Panel, Panels, Steps, high_is_good, low_is_good
from deploy.grafana.queries import baseline, kpi, of, promoted, top, values_and_rest
from deploy.grafana.words import Text

UID = "salepulse-war-room"
NOW = Text("now", "本次")
LAST = Text("last promotion", "上次大促")
TO_SHIPPING = (Text("Shipping", "物流"), "/d/salepulse-shipping?${__url_time_range}")
TO_STOCK = (Text("Stock", "库存"), "/d/salepulse-stock?${__url_time_range}")
TO_PART = (
    Text("Drill down", "下钻"),
    "/d/salepulse-drill-down?${__url_time_range}&var-scope=channel&var-value=${__field.labels.value:percentencode}",
)


def build(panels: Panels) -> Dashboard:
    """The dashboard."""
    board = Board(
        panels,
        UID,
        Text("war room", "作战室"),
        Text(
            "A sale as it is now. If the first tile is not green, believe nothing else.",
            "大促实况。第一格不是绿色时,其余都不要当真。",
        ),
    )
    board.found("promotion", Text("Promotion", "大促"), of("promotion_elapsed_ratio"), "promotion")
    board.choice("window", Text("Window", "窗口"), WINDOWS, "5m")
    board.first(*_tiles(panels))
    board.row(Text("GMV against targets, and over the last promotion", "成交额:对比目标与上次大促"), *_money(panels))
    board.row(Text("Funnel", "转化漏斗"), *_funnel(panels))
    board.row(Text("Stock and logistics", "库存与物流"), *_goods(panels))
    board.row(Text("Alerts", "告警"), *_alerts(panels))
    return board.build()


def _tiles(panels: Panels) -> list[Panel]:
    return [
        age(panels),
        panels.tile(
            Text("Net GMV of the promotion", "大促净成交额"),
            Text("Paid, less refunds, since the promotion began.", "大促开始以来的支付金额减退款。"),
            Line(promoted("net_gmv"), ""),
            panels.money,
        ),
        panels.tile(
            Text("Of the base target", "基础目标达成率"),
            Text("Net GMV over the promotion's base target.", "净成交额除以基础目标。"),
            Line(promoted("target_attainment_base"), ""),
            "percentunit",
            decimals=1,
        ),
        panels.tile(
            Text("Paid orders", "支付订单数"),
            Text("In the selected window.", "所选窗口内。"),
            Line(kpi("orders_paid"), ""),
            "short",
        ),
        panels.tile(
            Text("Conversion", "转化率"),
            Text("Buyers over visitors, in the window.", "窗口内:支付人数除以访客数。"),
            Line(kpi("conversion_rate"), ""),
            "percentunit",
            decimals=2,
        ),
        panels.tile(
            Text("Failed payments", "支付失败率"),
            Text("Failed payments over all that were tried, in the window.", "窗口内:支付失败次数除以全部支付尝试。"),
            Line(kpi("payment_failure_rate"), ""),
            "percentunit",
            steps=low_is_good(0.08, 0.15),
            decimals=1,
        ),
    ]


def _money(panels: Panels) -> list[Panel]:
    targets = top("tier", of("promotion_target_net_gmv", 'promotion="$promotion"'))
    expected = top("bound", of("promotion_expected_net_gmv", 'promotion="$promotion"'))
    probability = top("tier", of("target_probability", 'promotion="$promotion"'))
    tiers = [
        Line(promoted(f"target_attainment_{tier}"), name)
        for tier, name in (
            ("base", Text("base", "基础")),
            ("sprint", Text("sprint", "冲刺")),
            ("challenge", Text("challenge", "挑战")),
        )
    ]
    ratios = (
        ("net_gmv", Text("net GMV", "净成交额")),
        ("orders_paid", Text("paid orders", "支付订单")),
        ("visitors", Text("visitors", "访客")),
        ("conversion_rate", Text("conversion", "转化率")),
        ("aov", Text("order value", "客单价")),
    )
    return [
        panels.trend(
            Text("Net GMV, targets, and the last promotion", "净成交额、目标与上次大促"),
            Text(
                "Since the promotion began; the last one at the same time since its own start; targets as levels.",
                "自大促开始;上次大促取其开始后的同一时刻;目标为水平线。",
            ),
            [Line(promoted("net_gmv"), NOW), Line(baseline("net_gmv"), LAST), Line(targets, "{{tier}}")],
            panels.money,
        ),
        panels.trend(
            Text("Forecast", "预计最终成交额"),
            Text(
                "The net GMV that is expected at the end: between low and high with probability 0.8.",
                "预计最终净成交额:八成概率落在低与高之间。",
            ),
            [Line(expected, "{{bound}}"), Line(targets, "{{tier}}")],
            panels.money,
            width=6,
        ),
        panels.bars(
            Text("Probability of each target", "各目标达成概率"),
            Text("Of reaching it by the end.", "到结束时达成的概率。"),
            [Line(probability, "{{tier}}")],
            "percentunit",
            steps=high_is_good(0.3, 0.7),
            width=6,
        ),
        panels.trend(
            Text("GMV of the last minute", "近一分钟成交额"),
            Text("Paid within one minute.", "一分钟内的支付金额。"),
            [Line(kpi("gmv", window="1m"), "GMV")],
            panels.money,
            width=8,
        ),
        panels.trend(
            Text("Over the last promotion", "对比上次大促"),
            Text(
                "Each number over that of the last promotion at the same time since its start. 1: the same.",
                "各指标除以上次大促同一时刻的值,1 为持平。",
            ),
            [Line(f"{promoted(name)} / ({baseline(name)} > 0)", text) for name, text in ratios],
            "percentunit",
            width=8,
        ),
        panels.dial(
            Text("Attainment", "目标达成"),
            Text("Net GMV over each target.", "净成交额除以各目标。"),
            tiers,
            "percentunit",
            steps=Steps((GREY, GREEN), (1,)),
            width=8,
        ),
        panels.trend(
            Text("GMV by channel", "各渠道成交额"),
            Text("Paid within five minutes. Lines link to their channel.", "五分钟内的支付金额。点击曲线进入该渠道。"),
            [Line(values_and_rest("gmv", window="5m", scope="channel"), "{{value}}")],
            panels.money,
            width=24,
            height=7,
            stacked=True,
            link=TO_PART,
        ),
    ]


def _funnel(panels: Panels) -> list[Panel]:
    steps = (
        ("product_views", Text("product views", "商品浏览")),
        ("cart_adds", Text("into the cart", "加入购物车")),
        ("checkouts", Text("checkouts", "去结算")),
        ("orders_created", Text("orders", "下单")),
        ("orders_paid", Text("paid", "支付")),
    )
    rates = (
        ("cart_rate", Text("view to cart", "浏览到加购")),
        ("checkout_rate", Text("cart to checkout", "加购到结算")),
        ("order_rate", Text("checkout to order", "结算到下单")),
        ("payment_rate", Text("order to payment", "下单到支付")),
    )
    return [
        panels.bars(
            Text("Funnel", "漏斗"),
            Text("Events of each step in the window.", "窗口内各步骤的次数。"),
            [Line(kpi(name), text) for name, text in steps],
            "short",
        ),
        panels.bars(
            Text("Drop-off", "流失率"),
            Text(
                "The share that goes no further, step by step. Below 0: more than came, from an earlier rush.",
                "每一步未继续的比例。低于 0 表示含此前积压。",
            ),
            [Line(f"1 - {kpi(name)}", text) for name, text in rates],
            "percentunit",
        ),
        panels.trend(
            Text("Rates from step to step", "各步转化率走势"),
            Text("Each step over the one before it, in the window.", "窗口内每一步除以上一步。"),
            [Line(kpi(name), text) for name, text in rates],
            "percentunit",
            width=8,
        ),
    ]


def _goods(panels: Panels) -> list[Panel]:
    ends = kpi("minutes_to_stockout", window="5m", scope="sku", by="value", value='!=""')
    return [
        panels.tile(
            Text("SKUs out of stock", "缺货商品数"),
            Text("Of all SKUs with a known stock level.", "在有库存记录的商品中。"),
            Line(kpi("stockout_skus", window="5m"), ""),
            "short",
            steps=low_is_good(1, 20),
            link=TO_STOCK,
        ),
        panels.tile(
            Text("Stock fill rate", "有货率"),
            Text("SKUs that are in stock over all with a known level.", "有货商品数除以有库存记录的商品数。"),
            Line(kpi("stock_fill_rate", window="5m"), ""),
            "percentunit",
            steps=high_is_good(0.9, 0.97),
            decimals=1,
            link=TO_STOCK,
        ),
        panels.tile(
            Text("Orders not shipped", "待发货订单"),
            Text("Paid, and neither dispatched nor cancelled.", "已支付、未发货且未取消。"),
            Line(kpi("unshipped_orders", window="5m"), ""),
            "short",
            link=TO_SHIPPING,
        ),
        panels.tile(
            Text("Overdue shipments", "超时未发货"),
            Text(
                "Not shipped within the time that was promised (48 h, a setting).",
                "超过承诺时间(默认 48 小时)仍未发货。",
            ),
            Line(kpi("overdue_shipments", window="5m"), ""),
            "short",
            steps=low_is_good(1, 100),
            link=TO_SHIPPING,
        ),
        panels.tile(
            Text("Time to dispatch", "发货用时"),
            Text(
                "Mean time from payment to dispatch, of what was dispatched in the window.",
                "窗口内发货订单从支付到发货的平均用时。",
            ),
            Line(kpi("ship_hours", window="promotion"), ""),
            "h",
            decimals=1,
            link=TO_SHIPPING,
        ),
        panels.tile(
            Text("Delivered on time", "准时送达率"),
            Text(
                "Of the deliveries with a promise since the promotion began.",
                "大促开始以来有承诺时效的签收中准时的比例。",
            ),
            Line(kpi("on_time_delivery_rate", window="promotion"), ""),
            "percentunit",
            steps=high_is_good(0.85, 0.95),
            decimals=1,
            link=TO_SHIPPING,
        ),
        panels.rows(
            Text("Next to run out", "即将售罄"),
            Text(
                "The SKUs that run out first at the pace of the last 15 minutes; of those that sell most.",
                "按近 15 分钟销速最先售罄的商品(取销量靠前者)。",
            ),
            ("value", Text("SKU", "商品")),
            [
                Column(
                    Text("runs out in", "剩余可售时间"),
                    f"bottomk(10, {ends})",
                    "m",
                    high_is_good(30, 120),
                ),
            ],
            width=12,
            ascending=True,
        ),
        panels.trend(
            Text("Dispatched and delivered", "发货与签收"),
            Text("Events in the window.", "窗口内的事件数。"),
            [Line(kpi("dispatched"), Text("dispatched", "发货")), Line(kpi("delivered"), Text("delivered", "签收"))],
            "short",
            height=9,
        ),
    ]


def _alerts(panels: Panels) -> list[Panel]:
    firing = top("severity", of("alerts", 'state="firing"'))
    return [
        panels.bars(
            Text("Firing alerts of the shop", "触发中的业务告警"),
            Text(
                "By severity, from `salepulse alerts`. No data: no process evaluates the rules.",
                "按级别,来自 `salepulse alerts`。无数据:规则没有被评估。",
            ),
            [Line(firing, "{{severity}}")],
            "short",
            steps=Steps((GREEN, RED), (1,)),
        ),
        panels.trend(
            Text("Alerts of the shop by state", "业务告警数量"),
            Text("Pending, firing and resolved.", "待确认、触发中与已恢复。"),
            [Line(f"sum by (state) ({top('state, severity', of('alerts'))})", "{{state}}")],
            "short",
            width=8,
        ),
        panels.rows(
            Text("Alerts about the pipeline", "链路告警"),
            Text(
                "The watchdog is always among them: without it no process evaluates the rules.",
                "看门狗告警始终在列:若缺失,说明规则未被评估。",
            ),
            ("alertname", Text("alert", "告警")),
            [
                Column(
                    Text("number", "数量"),
                    'count by (alertname, severity) (ALERTS{job=~"$job", alertstate="firing"})',
                    "short",
                )
            ],
            width=8,
            height=8,
            link=TO_PIPELINE,
        ),
    ]
