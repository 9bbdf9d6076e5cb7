"""The lower panels of the demo's screen: promotion and stock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from streams.local.demo.frame import SOON, DemoFrame, share
from streams.model.formatting import format_compact, format_kpi, format_percent
from streams.model.kpis import Number
from streams.model.target_forecast import DAY_SHAPE_FROM

_BAR = 16
_COMPARED = (("GMV", "gmv"), ("orders", "orders_paid"), ("visitors", "visitors"), ("conversion", "conversion_rate"))


def promotion_panel(frame: DemoFrame) -> Panel:
    """Phase, targets with their attainment and probability, and the comparison with the sale before."""
    assert frame.snapshot is not None
    promotion = frame.snapshot.promotion
    if promotion is None:
        return Panel(Text("…", "dim"), title="promotion", box=box.ROUNDED, title_align="left")
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(style="bold", no_wrap=True, width=9)
    table.add_column(justify="right", no_wrap=True, width=8)
    table.add_column(no_wrap=True, width=_BAR)
    table.add_column(justify="right", no_wrap=True, width=6)
    table.add_column(style="dim", no_wrap=True)
    for target in promotion["targets"]:
        reached = target["attainment"]
        likely = None if _is_early(promotion) else target["probability"]
        table.add_row(
            target["tier"],
            _money(target["target"], frame),
            Text("█" * min(_BAR, round(_BAR * max(0, reached or 0))), "green" if (reached or 0) >= 1 else "cyan"),
            share(reached),
            "" if likely is None else f"chance {share(likely)}",
        )
    shown = Group(table, _finish(promotion, frame), _comparison(frame.snapshot.ratios))
    return Panel(shown, title=f"promotion: {_phase(promotion)}", box=box.ROUNDED, title_align="left")


def _phase(promotion: Mapping[str, Any]) -> str:
    phase, next_phase = promotion["phase"], promotion["next_phase"]
    now = promotion["state"] if phase is None else f"{phase['name']}, {share(phase['elapsed_fraction'])} elapsed"
    return now if next_phase is None else f"{now}; next {next_phase['name']}"


def _is_early(promotion: Mapping[str, Any]) -> bool:
    """Whether the forecast still rests on the sale before."""
    return bool(promotion["elapsed_fraction"] < DAY_SHAPE_FROM)


def _finish(promotion: Mapping[str, Any], frame: DemoFrame) -> Text:
    forecast = promotion["forecast"]
    if forecast is None or promotion["state"] == "ended":
        return Text(f"net GMV {_money((promotion['values'] or {}).get('net_gmv') or 0, frame)}", "dim")
    if _is_early(promotion):
        return Text("too early for a forecast", "dim")
    low, expected, high = (_money(forecast[name], frame) for name in ("low", "expected", "high"))
    return Text("forecast ", "dim").append(expected, "bold").append(f", 80 % interval {low} to {high}", "dim")


def _comparison(ratios: Mapping[str, Number]) -> Text:
    line = Text("vs. last sale: ", "dim", no_wrap=True, overflow="ellipsis")
    for label, name in _COMPARED:
        ratio = ratios.get(name)
        if ratio is not None:
            line.append(f"{label} {format_percent(ratio - 1, '+.0')} ", "green" if ratio >= 1 else "red")
    return line


def goods_panel(frame: DemoFrame) -> Panel:
    """Stock that runs out and shipments that wait."""
    assert frame.snapshot is not None
    stock, values = frame.snapshot.stock, frame.snapshot.windows["1m"]
    table = Table.grid(padding=(0, 1, 0, 0), expand=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", style="yellow", no_wrap=True)
    rest = [("", "", "")] * SOON
    soon = [
        (item["value"], f"{item['values']['stock_available']:,} left", _lasts(item["values"]["minutes_to_stockout"]))
        for item in stock.get("soon", ())
    ]
    for row in (soon + rest)[:SOON]:
        table.add_row(*row)
    out = Text("out of stock ", "dim").append(f"{stock.get('stockout_skus') or 0:,} SKUs", "bold")
    risk = stock.get("gmv_at_risk_per_hour") or 0
    out.append(f", {_money(risk, frame)}/h at risk" if risk else "", "red")
    unshipped, overdue = values.get("unshipped_orders") or 0, values.get("overdue_shipments") or 0
    ship = Text("to ship ", "dim").append(f"{unshipped:,}", "bold").append(", ", "dim")
    ship.append(f"{overdue:,} overdue", "red" if overdue else "dim")
    on_time = format_kpi("ship_within_48h_rate", values.get("ship_within_48h_rate"), currency_exponent=0)
    ship.append(f", on time {on_time}", "dim")
    return Panel(Group(table, out, ship), title="stock and shipping", box=box.ROUNDED, title_align="left")


def _lasts(minutes: Number) -> str:
    return "" if minutes is None else f"{60 * minutes:.0f} s" if minutes < 2 else f"{minutes:.0f} min"


def _money(minor: Number, frame: DemoFrame) -> str:
    return format_compact((minor or 0) / 10**frame.currency_exponent)
