"""Whoever is on call in the demo: a chat on this machine that `salepulse alerts` sends to, shown as it comes in."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from html import unescape
from importlib.resources import files
from typing import Any

from aiohttp import web

from streams.embedded.ports import LOOPBACK
from streams.stack.plan import Plan

RULES = "alert-rules.yaml"
_LINK = re.compile(r"<([^|>]+)\|([^>]+)>")
_COMMAND = re.compile(r"salepulse alerts ack \S+")


@contextlib.asynccontextmanager
async def on_call(plan: Plan, tell: Callable[[str], None]) -> AsyncIterator[Plan]:
    """The plan with somebody to be told of alerts, by the demo's own rules; what they are told goes to `tell`."""

    async def take(request: web.Request) -> web.Response:
        for line in as_read(await request.json(), plan.settings.redis_url.get_secret_value()):
            tell(line)
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, LOOPBACK, 0)
        await site.start()
        chat = {"name": "on-call", "type": "slack", "url": f"http://{LOOPBACK}:{runner.addresses[0][1]}/"}
        receivers, rules = plan.folder / "receivers.yaml", plan.folder / RULES
        receivers.write_text(json.dumps({"receivers": [chat], "allow_networks": [LOOPBACK]}), encoding="utf-8")
        rules.write_text(files("streams.demo").joinpath(RULES).read_text(encoding="utf-8"), encoding="utf-8")
        told = {
            "alerts_rules": str(rules),
            "alerts_receivers": str(receivers),
            "alerts_heartbeat_url": type(plan.settings.alerts_heartbeat_url)(""),
            "public_url": plan.url,
        }
        yield replace(plan, settings=plan.settings.model_copy(update=told))
    finally:
        await runner.cleanup()


def as_read(message: dict[str, Any], redis_url: str) -> list[str]:
    """A message as people see it in the chat, line by line; commands name the demo's Redis, which no setting does."""
    text = "\n".join(block["text"]["text"] for block in message.get("blocks", ())) or str(message.get("text", ""))
    text = unescape(_LINK.sub(r"\2: \1", text)).replace("*", "")
    lines = _COMMAND.sub(rf"\g<0> --redis-url {redis_url}", text).splitlines()
    return [f"on call reads │ {line}" for line in lines if line.strip()]
