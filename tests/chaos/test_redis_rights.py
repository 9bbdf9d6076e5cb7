"""Write permissions revoked while all roles run: one fact, reported by every role with cause and fix.

One shop whose roles share a user, and one whose server has a read-only user.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
import redis

from consumers.settings import Clock
from streams.local.embedded.child import always_ready
from streams.store.keys import Keys
from tests.chaos.test_redis_away import send
from tests.chaos.test_redis_refuses import receivers, rules
from tests.support.receiving import HttpReceiver, http_receiver
from tests.support.salepulse import salepulse
from tests.support.secure_redis import READER, WRITER, documented_rules
from tests.support.servers import Server, redis_server
from tests.support.stack import Shop, environment, stack

pytestmark = [pytest.mark.slow, pytest.mark.anyio, pytest.mark.kafka]

NOTICED_S = 20
RULE = "store-refuses-writes"


@dataclass(frozen=True)
class Fault:
    """How the writer's user is changed, and restored."""

    reason: str
    begin: tuple[str, ...]
    end: tuple[str, ...]
    fix: str = "grant the permissions listed in docs/security.md"


FAULTS = {
    "all writes": Fault("noperm", ("-@write",), ("+@write",)),
    "one command of counting": Fault("noperm", ("-xadd",), ("+xadd",)),
    "the password": Fault(
        "login", ("resetpass", ">another"), ("resetpass", ">secret"), "see redis_user and redis_password"
    ),
}


@dataclass
class Case:
    """A shop, and the notifications sent."""

    shop: Shop
    alerts: Server
    chat: HttpReceiver
    admin: redis.Redis
    user: str

    @property
    def notifications(self) -> list[str]:
        held = [got.json["data"] | {"type": got.json["type"]} for got in self.chat.requests if got.path == "/hook"]
        return [one["type"].removeprefix("alert.") for one in held if one["rule"] == RULE]

    @property
    def others(self) -> list[str]:
        """Notifications about anything else."""
        return [
            rule for got in self.chat.requests if got.path == "/hook" and (rule := got.json["data"]["rule"]) != RULE
        ]

    def allow(self, *words: str) -> None:
        """Change the user's permissions, and disconnect all clients."""
        self.admin.execute_command("ACL", "SETUSER", self.user, *words)
        self.admin.client_kill_filter(_type="normal", skipme=True)

    def doctor(self) -> list[dict[str, str]]:
        done = salepulse("doctor", "--json", cwd=self.shop.folder, env=dict(environment(self.shop.settings)))
        findings = json.loads(done.stdout)["checks"]
        assert (done.returncode == 1) == any(one["status"] == "error" for one in findings)
        return [one for one in findings if one["status"] == "error"]

    @property
    def logs(self) -> str:
        texts = [self.shop.serve.log_path.read_text()[-3000:], self.alerts.log_path.read_text()[-4000:]]
        return "\n".join([*texts, self.shop.log()[-4000:]])


def password(folder: Path, text: str) -> str:
    """A file with a password."""
    path = folder / text
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


async def until(what: str, condition: Callable[[], Any], case: Case, within_s: float = NOTICED_S) -> None:
    began_s = time.monotonic()
    while not await anyio.to_thread.run_sync(condition):
        assert time.monotonic() - began_s < within_s, f"{what}: {case.logs}"
        await anyio.sleep(0.5)


@pytest.mark.parametrize("split", [False, True], ids=["one user", "a user who reads"])
async def test_a_revoked_permission_is_reported_everywhere(apache_kafka: Server, tmp_path: Path, split: bool) -> None:
    stop = asyncio.Event()
    run = anyio.to_thread.run_sync
    async with AsyncExitStack() as ending:
        store = ending.enter_context(redis_server())
        admin = ending.enter_context(redis.Redis.from_url(store.url, decode_responses=True))
        chat = await ending.enter_async_context(http_receiver())
        changes: dict[str, Any] = {
            "clock": Clock.WALL,
            "retain": "",
            "partitions": 1,
            "alerts_receivers": str(receivers(tmp_path, chat.url)),
            "alerts_rules": str(rules(tmp_path)),
            "redis_user": "shop",
            "redis_password_file": password(tmp_path, "secret"),
        }
        rights: Sequence[str] = documented_rules(WRITER, "secret") if split else ("on", ">secret", "~*", "&*", "+@all")
        admin.execute_command("ACL", "SETUSER", "shop", *rights)
        if split:
            admin.execute_command("ACL", "SETUSER", "looks", *documented_rules(READER, "only"))
            changes |= {"redis_read_user": "looks", "redis_read_password_file": password(tmp_path, "only")}
        shop = await run(lambda: ending.enter_context(stack(apache_kafka, store, **changes)))
        argv = [sys.executable, "-m", "streams.cli", "alerts"]
        alerts = Server("alerts", argv, 0, always_ready, tmp_path, env=environment(shop.settings))
        await run(alerts.start)
        ending.callback(alerts.stop)
        case = Case(shop, alerts, chat, admin, "shop")

        def codes() -> list[str]:
            try:
                return list(httpx.get(f"{shop.api.url}/readyz", timeout=10).json()["codes"])
            except httpx.TransportError:
                return ["no answer"]

        sending = asyncio.create_task(send(apache_kafka.bootstrap, stop))
        try:
            await until("it is live", lambda: codes() == [], case, 90)
            keys = Keys(shop.settings.redis_prefix, shop.settings.shards)
            await until("alerts are evaluated", lambda: admin.exists(keys.evaluated), case, 60)
            for name, fault in FAULTS.items():
                if split and name == "all writes":
                    fault = Fault("noperm", ("-hset", "-xadd"), ("+hset", "+xadd"))
                before = len(case.notifications)
                await run(lambda fault=fault: case.allow(*fault.begin))  # type: ignore[misc]
                await until(f"{name}: not live", lambda: "redis_refuses_writes" in codes(), case)
                reasons = httpx.get(f"{shop.api.url}/readyz", timeout=10).json()["reasons"]
                assert [one for one in reasons if fault.fix in one and one.startswith("Redis ")], reasons
                metrics = httpx.get(f"{shop.api.url}/metrics", timeout=10).text
                line = re.search(rf'salepulse_redis_refuses_writes{{reason="{fault.reason}"}} (\S+)', metrics)
                assert line
                assert float(line[1]) == 1, metrics
                found = await run(case.doctor)
                assert [one for one in found if one["check"].startswith("redis") and fault.fix in one["fix"]], found
                assert not [one for one in found if one["fix"].startswith("start one")], found
                await until(f"{name}: sent", lambda before=before: case.notifications[before:] == ["firing"], case)  # type: ignore[misc]
                await run(lambda fault=fault: case.allow(*fault.end))  # type: ignore[misc]
                await until(f"{name}: live", lambda: codes() == [], case)
                await until(f"{name}: over", lambda before=before: len(case.notifications) == before + 2, case, 30)  # type: ignore[misc]
            assert case.others == []
            assert shop.workers[0].running
            assert alerts.running
        finally:
            stop.set()
            await sending
        await until("all is counted", lambda: codes() == [], case)
