"""The demo on a terminal: a screen of 100 x 36, redrawn every second; elsewhere a line every few seconds."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TextIO

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from streams.local.demo.frame import NOT_LIVE, TRENDS, WINDOWS, DemoFrame, Values, clock, share
from streams.local.demo.lower_panels import goods_panel, promotion_panel
from streams.local.demo.sale import CHANNEL
from streams.model.formatting import format_compact, format_kpi

LINE_EVERY_S = 3.0
BLOCKS = "▁▂▃▄▅▆▇█"
TREND_WIDTH = 14
WIDTH, LEFT = 100, 60
LOW_ORDER_RATE = 0.65
"""Shown in red below this; the simulated shop's is about 0.8."""
ENOUGH = 30
"""Checkouts below which the rate is noise."""
FUNNEL = (
    ("visitors", "visitors", None),
    ("product views", "product_views", None),
    ("cart adds", "cart_adds", "cart_rate"),
    ("checkouts", "checkouts", "checkout_rate"),
    ("orders", "orders_created", "order_rate"),
    ("paid", "orders_paid", "payment_rate"),
)
_LABELS = {"gmv": "GMV", "orders_paid": "orders paid", "aov": "order value", "order_rate": "order rate"}


class Screen:
    """Context manager that draws frames; the last one stays on the terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, auto_refresh=False)

    def __enter__(self) -> Screen:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, frame: DemoFrame) -> None:
        """Draw a frame."""
        self._live.update(render(frame), refresh=True)

    def print_line(self, line: str) -> None:
        """Print a line above the screen."""
        self._console.print(escape(line), highlight=False)


def render(frame: DemoFrame) -> RenderableType:
    """The frame as a screen."""
    parts: list[RenderableType] = [_head(frame)]
    if frame.snapshot is None:
        parts.append(Panel(f"{frame.phase} …", box=box.ROUNDED, width=WIDTH, padding=(1, 2)))
    else:
        parts += [
            _side_by_side(_kpis(frame), _channels(frame)),
            _side_by_side(_funnel(frame.snapshot.windows["5m"]), _skus(frame)),
            _side_by_side(promotion_panel(frame), goods_panel(frame)),
        ]
    return Group(*parts, *_foot(frame))


def _head(frame: DemoFrame) -> Text:
    head = Text("salepulse demo", style="bold", overflow="ellipsis", no_wrap=True)
    if frame.snapshot is not None and frame.age_s is not None:
        shade = "green" if frame.age_s < 3 else "yellow" if frame.age_s < 15 else "red"
        head.append("  as of ", "dim").append(clock(frame.snapshot.as_of_ms), "bold")
        head.append(*(f"  {frame.age_s:.1f} s ago", shade) if frame.snapshot.live else (f"  {NOT_LIVE}", "bold red"))
    head.append(f"  {min(frame.elapsed_s, frame.duration_s):.0f} of {frame.duration_s:.0f} s", "dim")
    return head.append(f"  {frame.url}/", "cyan")


def _kpis(frame: DemoFrame) -> Panel:
    assert frame.snapshot is not None
    table = Table(box=None, padding=(0, 1, 0, 0), expand=True)
    table.add_column(f"KPI ({frame.currency})", style="bold", no_wrap=True)
    for window in WINDOWS:
        table.add_column(window, justify="right", no_wrap=True)
    table.add_column("last 2 min", style="cyan", no_wrap=True)
    for name in TRENDS:
        cells = [_cell(frame, name, frame.snapshot.windows[window]) for window in WINDOWS]
        table.add_row(_LABELS.get(name, name.replace("_", " ")), *cells, sparkline(frame.history.trends[name]))
    return Panel(table, title="KPIs by window", box=box.ROUNDED, title_align="left")


def _cell(frame: DemoFrame, name: str, values: Values) -> str:
    value = values.get(name)
    if name == "gmv" and value is not None:
        return format_compact(value / 10**frame.currency_exponent)
    return format_kpi(name, value, currency_exponent=frame.currency_exponent)


def _channels(frame: DemoFrame) -> Panel:
    assert frame.snapshot is not None
    table = Table(box=None, padding=(0, 1, 0, 0), expand=True)
    for name in ("channel", "GMV", "orders", "order rate"):
        table.add_column(name, justify="left" if name == "channel" else "right", no_wrap=True)
    for channel, values in frame.snapshot.channels[:6]:
        rate = values.get("order_rate")
        low = rate is not None and rate < LOW_ORDER_RATE and (values["checkouts"] or 0) >= ENOUGH
        table.add_row(
            Text(channel, "bold"),
            _cell(frame, "gmv", values),
            f"{values['orders_paid']:,}",
            Text(format_kpi("order_rate", rate, currency_exponent=0), "bold red" if low else ""),
        )
    trend = Text(f"\norder rate of {CHANNEL}, from 0\n", "dim")
    trend.append(sparkline(frame.history.channel_rate, WIDTH - LEFT - 6), "red" if frame.in_incident else "cyan")
    return Panel(Group(table, trend), title="channels, 1m", box=box.ROUNDED, title_align="left")


def _funnel(values: Values) -> Panel:
    table = Table.grid(padding=(0, 1, 0, 0), expand=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(ratio=1, no_wrap=True)
    table.add_column(justify="right", style="dim", no_wrap=True)
    most = max((values[name] or 0 for _, name, _ in FUNNEL), default=0) or 1
    for label, name, rate in FUNNEL:
        count = values[name] or 0
        bar = "█" * max(1 if count else 0, round(24 * count / most))
        passed = "" if rate is None else format_kpi(rate, values.get(rate), currency_exponent=0)
        table.add_row(label, f"{count:,}", Text(bar, "cyan"), passed)
    return Panel(table, title="funnel, 5m", box=box.ROUNDED, title_align="left")


def _skus(frame: DemoFrame) -> Panel:
    assert frame.snapshot is not None
    table = Table.grid(padding=(0, 1, 0, 0), expand=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for sku, values in frame.snapshot.skus:
        table.add_row(sku, _cell(frame, "gmv", values), f"{values['units']:,} units")
    return Panel(table, title="top SKUs by GMV, 5m", box=box.ROUNDED, title_align="left")


def _foot(frame: DemoFrame) -> Iterable[RenderableType]:
    events = Text("events ", "dim").append(f"{frame.produced:,}", "bold").append(" produced, ", "dim")
    events.append(f"{frame.counted:,}", "bold").append(" counted", "dim")
    events.append(f"   {frame.produced_rate:,.0f}/s in, {frame.counted_rate:,.0f}/s counted", "dim")
    yield events.append(f"   {frame.phase}", "dim")
    if frame.incident is not None and (frame.incident.begun or frame.selling):
        injected, effect = frame.incident.lines()
        yield Text(injected, "bold red" if frame.incident.begun else "dim")
        yield Text(effect, "red")


def _side_by_side(left: RenderableType, right: RenderableType) -> Table:
    grid = Table.grid()
    grid.add_column(width=LEFT)
    grid.add_column(width=WIDTH - LEFT)
    grid.add_row(left, right)
    return grid


def sparkline(values: Iterable[float], width: int = TREND_WIDTH) -> str:
    """Block characters scaled from 0 to the maximum, each the mean of a bucket, the newest at the right.

    >>> sparkline([0, 1, 2, 4], 4)
    '▁▃▅█'
    """
    numbers = list(values)
    if not numbers:
        return ""
    means = [_bucket_mean(numbers, i, min(width, len(numbers))) for i in range(min(width, len(numbers)))]
    top = max(means) or 1
    return "".join(BLOCKS[min(7, int(value / top * 8))] for value in means)


def _bucket_mean(values: Sequence[float], index: int, count: int) -> float:
    """Mean of the `place`-th of `count` equal buckets."""
    begin, end = len(values) * index // count, len(values) * (index + 1) // count
    part = values[begin:end]
    return sum(part) / len(part)


class PlainScreen:
    """Prints frames as lines."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._shown_s = 0.0
        self._incident_shown = False

    def show(self, frame: DemoFrame) -> None:
        """Print the frame if the last one is old enough."""
        if frame.incident is not None and frame.incident.begun and not self._incident_shown:
            self._incident_shown = True
            self.print_line(frame.incident.lines()[0])
        if frame.snapshot is not None and time.monotonic() - self._shown_s >= LINE_EVERY_S:
            self._shown_s = time.monotonic()
            self.print_line(describe(frame))

    def print_line(self, line: str) -> None:
        """Print a line."""
        print(line, file=self._file, flush=True)


def describe(frame: DemoFrame) -> str:
    """The frame in one line."""
    assert frame.snapshot is not None
    minute = frame.snapshot.windows["1m"]
    parts = [
        f"as of {clock(frame.snapshot.as_of_ms)} ({frame.age_s:.1f} s ago)",
        *(() if frame.snapshot.live else (NOT_LIVE,)),
        f"1m: GMV {format_kpi('gmv', minute['gmv'], currency_exponent=frame.currency_exponent)} {frame.currency}",
        f"{minute['orders_paid']:,} orders paid",
        f"conversion {format_kpi('conversion_rate', minute['conversion_rate'], currency_exponent=0)}",
        f"order rate {share(minute['order_rate'])}",
        f"{frame.counted:,} of {frame.produced:,} events counted ({frame.produced_rate:,.0f}/s)",
    ]
    if frame.incident is not None and frame.incident.begun:
        parts.append(frame.incident.lines()[1])
    return " · ".join(parts)
