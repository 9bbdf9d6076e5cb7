"""On-call in the demo: a local webhook that receives the pages of `salepulse alerts` and prints them."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from html import unescape
from importlib.resources import files
from pathlib import Path
from typing import Any

from aiohttp import web

from streams.local.embedded.ports import LOOPBACK
from streams.local.stack.plan import StackPlan

RULES = "alert-rules.yaml"
_WHY_SO_LONG = " (the incident, plus the 1m window of the rule)"
_LINK = re.compile(r"<([^|>]+)\|([^>]+)>")
_COMMAND = re.compile(r"salepulse (alerts ack \S+)")


@contextlib.asynccontextmanager
async def on_call(plan: StackPlan, print_line: Callable[[str], None]) -> AsyncIterator[StackPlan]:
    """The plan with the demo's rules and a receiver that prints its pages with `print_line`."""

    async def receive_page(request: web.Request) -> web.Response:
        for line in readable_lines(await request.json(), plan.settings.redis_url.get_secret_value()):
            print_line(line)
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_post("/", receive_page)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, LOOPBACK, 0)
        await site.start()
        chat = {"name": "on-call", "type": "slack", "url": f"http://{LOOPBACK}:{runner.addresses[0][1]}/"}
        receivers, rules = plan.folder / "receivers.yaml", plan.folder / RULES
        receivers.write_text(json.dumps({"receivers": [chat], "allow_networks": [LOOPBACK]}), encoding="utf-8")
        rules.write_text(files("streams.local.demo").joinpath(RULES).read_text(encoding="utf-8"), encoding="utf-8")
        changes = {
            "alerts_rules": str(rules),
            "alerts_receivers": str(receivers),
            "alerts_heartbeat_url": type(plan.settings.alerts_heartbeat_url)(""),
            "public_url": plan.url,
        }
        yield replace(plan, settings=plan.settings.model_copy(update=changes))
    finally:
        await runner.cleanup()


def started_as(program: str) -> tuple[str, ...]:
    """The command line of `salepulse` in the user's shell. `program`: sys.argv[0].

    >>> started_as("/usr/lib/python3/streams/cli.py")[1:]
    ('-m', 'streams.cli')
    """
    if Path(program).name != "salepulse":
        return sys.executable, "-m", "streams.cli"
    on_path = shutil.which("salepulse")
    return ("salepulse" if on_path is not None and Path(on_path).resolve() == Path(program).resolve() else program,)


def readable_lines(message: dict[str, Any], redis_url: str) -> list[str]:
    """The lines of a Slack message; commands get the demo's --redis-url, which no setting has."""
    text = "\n".join(block["text"]["text"] for block in message.get("blocks", ())) or str(message.get("text", ""))
    text = unescape(_LINK.sub(r"\2: \1", text)).replace("*", "")
    command = shlex.join(started_as(sys.argv[0]))
    lines = _COMMAND.sub(lambda match: f"{command} {match[1]} --redis-url {redis_url}", text).splitlines()
    return [f"on-call page │ {line}{_WHY_SO_LONG * line.startswith('Lasted: ')}" for line in lines if line.strip()]
