"""The lower panels of the demo's screen: the promotion on its way to its targets, and the goods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from streams.local.demo.frame import DemoFrame, share
from streams.local.demo.snapshot import SOON
from streams.model.formatting import format_compact, format_number
from streams.model.kpis import Number
from streams.targets.forecast import DAY_SHAPE_FROM

_BAR = 16
_COMPARED = (("GMV", "gmv"), ("orders", "orders_paid"), ("visitors", "visitors"), ("conversion", "conversion_rate"))


def promotion_panel(frame: DemoFrame) -> Panel:
    """Phase, targets with the chance to reach each, and how it does against the sale before it."""
    assert frame.snapshot is not None
    told = frame.snapshot.promotion
    if told is None:
        return Panel(Text("…", "dim"), title="promotion", box=box.ROUNDED, title_align="left")
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(style="bold", no_wrap=True, width=9)
    table.add_column(justify="right", no_wrap=True, width=8)
    table.add_column(no_wrap=True, width=_BAR)
    table.add_column(justify="right", no_wrap=True, width=6)
    table.add_column(style="dim", no_wrap=True)
    for target in told["targets"]:
        reached = target["attainment"]
        likely = None if _is_early(told) else target["probability"]
        table.add_row(
            target["tier"],
            _money(target["target"], frame),
            Text("█" * min(_BAR, round(_BAR * max(0, reached or 0))), "green" if (reached or 0) >= 1 else "cyan"),
            share(reached),
            "" if likely is None else f"chance {share(likely)}",
        )
    shown = Group(table, _finish(told, frame), _against_last(frame.snapshot.ratios))
    return Panel(shown, title=f"promotion: {_phase(told)}", box=box.ROUNDED, title_align="left")


def _phase(told: Mapping[str, Any]) -> str:
    phase, coming = told["phase"], told["next_phase"]
    now = told["state"] if phase is None else f"{phase['name']}, {share(phase['elapsed_fraction'])} of it over"
    return now if coming is None else f"{now}; next {coming['name']}"


def _is_early(told: Mapping[str, Any]) -> bool:
    """Whether there is little more to go by than the sale before it."""
    return bool(told["elapsed_fraction"] < DAY_SHAPE_FROM)


def _finish(told: Mapping[str, Any], frame: DemoFrame) -> Text:
    forecast = told["forecast"]
    if forecast is None or told["state"] == "ended":
        return Text(f"net GMV {_money((told['values'] or {}).get('net_gmv') or 0, frame)}", "dim")
    if _is_early(told):
        return Text("too early to tell what it will end with", "dim")
    low, expected, high = (_money(forecast[name], frame) for name in ("low", "expected", "high"))
    return Text("it will end with ", "dim").append(expected, "bold").append(f", 80 % sure of {low} to {high}", "dim")


def _against_last(ratios: Mapping[str, Number]) -> Text:
    line = Text("against the last sale: ", "dim", no_wrap=True, overflow="ellipsis")
    for label, name in _COMPARED:
        ratio = ratios.get(name)
        if ratio is not None:
            line.append(f"{label} {ratio - 1:+.0%} ".replace("%", " %"), "green" if ratio >= 1 else "red")
    return line


def goods_panel(frame: DemoFrame) -> Panel:
    """What is out of stock or soon will be, and what is not shipped."""
    assert frame.snapshot is not None
    stock, values = frame.snapshot.stock, frame.snapshot.windows["1m"]
    table = Table.grid(padding=(0, 1, 0, 0), expand=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", style="yellow", no_wrap=True)
    rest = [("", "", "")] * SOON
    soon = [
        (held["value"], f"{held['values']['stock_available']:,} left", _lasts(held["values"]["minutes_to_stockout"]))
        for held in stock.get("soon", ())
    ]
    for row in (soon + rest)[:SOON]:
        table.add_row(*row)
    out = Text("out of stock ", "dim").append(f"{stock.get('stockout_skus') or 0:,} SKUs", "bold")
    risk = stock.get("gmv_at_risk_per_hour") or 0
    out.append(f", {_money(risk, frame)}/h lost" if risk else "", "red")
    unshipped, overdue = values.get("unshipped_orders") or 0, values.get("overdue_shipments") or 0
    ship = Text("to ship ", "dim").append(f"{unshipped:,}", "bold").append(", ", "dim")
    ship.append(f"{overdue:,} overdue", "red" if overdue else "dim")
    on_time = format_number("ship_within_48h_rate", values.get("ship_within_48h_rate"), currency_exponent=0)
    ship.append(f", in time {on_time}", "dim")
    return Panel(Group(table, out, ship), title="runs out next", box=box.ROUNDED, title_align="left")


def _lasts(minutes: Number) -> str:
    return "" if minutes is None else f"{60 * minutes:.0f} s" if minutes < 2 else f"{minutes:.0f} min"


def _money(minor: Number, frame: DemoFrame) -> str:
    return format_compact((minor or 0) / 10**frame.currency_exponent)
