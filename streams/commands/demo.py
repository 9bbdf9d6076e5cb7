"""`salepulse demo`: a simulated sale, counted live and proven exact."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from consumers.commands.common import load_settings, report_errors
from consumers.settings import Clock
from streams.commands.options import AsJson, HttpPort
from streams.commands.output import print_json
from streams.commands.up import installed_roles
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.local.demo.screen import PlainScreen, Screen
    from streams.local.stack.plan import StackPlan

app = typer.Typer()

IDLE_AFTER_S = 3.0
"""Short, because the whole sale ends at once and the last numbers wait for idle partitions."""


@app.command()
def demo(
    duration: Annotated[float, typer.Option(min=5, max=86_400, metavar="S", help="Seconds that the sale lasts.")] = 120,
    seed: Annotated[int, typer.Option(min=0, help="Random seed; equal seeds give equal sales.")] = 1,
    rate: Annotated[float, typer.Option(min=10, max=20_000, help="Average events per second.")] = 1000,
    http_port: HttpPort = None,
    as_json: AsJson = False,
) -> None:
    """Play a simulated sale on this machine and count it live, with a real broker, Redis, worker and API.

    The demo starts its own broker and Redis and ignores those of the settings. It injects an incident, shows the KPIs
    and the page that on-call receives, and proves at the end that each event counted exactly once. Ctrl-C ends the sale
    early with the same proof; a second Ctrl-C stops at once. With --json the last line on stdout is the API's last
    answer; everything else goes to stderr.
    """
    settings = load_settings(Settings, http_port=http_port, clock=Clock.WALL, retain="")
    with report_errors():
        changes = {**_loopback_settings(), **compressed_settings(settings, duration)}
        _play(settings.model_copy(update=changes), duration, rate, seed, as_json)


def _loopback_settings() -> dict[str, object]:
    """Loopback without TLS or tokens, whatever the settings say."""
    names = ("http_host", "metrics_host", "http_cert_file", "http_key_file", "tokens_file")
    return {name: Settings.model_fields[name].default for name in names}


def compressed_settings(settings: Settings, duration_s: float) -> dict[str, object]:
    """Limits of shipping and stock, scaled to a sale that plays a day in minutes."""
    from streams.simulate import SimulationConfig

    pace = SimulationConfig(duration_s=duration_s)
    hours = settings.overdue_after_h / pace.ship_speed
    return {"idle_after_s": IDLE_AFTER_S, "overdue_after_h": hours, "stock_soon_min": max(1.0, 60 / pace.shop_speed)}


def _play(settings: Settings, duration: float, rate: float, seed: int, as_json: bool) -> None:
    from consumers.errors import SalepulseError
    from streams.local.demo.run import DemoOptions, play
    from streams.local.stack.plan import data_folder, embedded_errors, make_plan

    named = "http_port" in settings.model_fields_set
    with data_folder(None) as folder, embedded_errors():
        plan = make_plan(settings, folder, kafka_port=0, redis_port=0, workers=1, http_port_may_differ=not named)
        with _view(plan, as_json) as view:
            result = asyncio.run(play(plan, DemoOptions(duration, rate, seed, installed_roles()), view))
    if result is None:
        typer.echo("stopped before all events were counted", err=True)
        return
    for line in result.proof.lines(settings.currency, settings.money_exponent):
        typer.echo(line, err=as_json)
    if as_json:
        print_json(dict(result.last))
    if not result.proof.exact:
        raise SalepulseError("the count is not exact: this is a bug, please report it with the seed and the rate")


def _view(plan: StackPlan, as_json: bool) -> contextlib.AbstractContextManager[Screen | PlainScreen]:
    """A live screen on a terminal, else plain lines."""
    from rich.console import Console

    from streams.local.demo.screen import PlainScreen, Screen

    console = Console(stderr=as_json)
    view = Screen(console) if console.is_terminal else PlainScreen(sys.stderr if as_json else sys.stdout)
    view.print_line(f"page: {plan.url}/ · API: {plan.url}/docs")
    return view if isinstance(view, Screen) else contextlib.nullcontext(view)
