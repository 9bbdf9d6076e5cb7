"""Container health check by progress: `python healthcheck.py worker|alerts|serve`.

A worker or `alerts` process writes its metrics to Redis once a second from its main loop, and a worker's counters
advance while records wait. `serve` polls Redis. Answering requests is not enough to be healthy.

Exits with 0, or with 1 and one line that states the problem.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

REPORTED_WITHIN_S = 15.0
"""Processes report once a second."""
READ_WITHIN_S = 30.0
_COUNTED = re.compile(rb"^salepulse_batch_records_sum\{.*\} (\S+)$", re.MULTILINE)
_SEEN = Path(os.environ.get("TMPDIR", "/tmp")) / "salepulse-healthcheck.json"


class UnhealthyError(Exception):
    """The role is unhealthy; the message states the problem."""


def healthy(role: str) -> None:
    """Check a role. Raises UnhealthyError."""
    if role == "serve":
        _serve()
    else:
        asyncio.run(_published(role))


def _serve() -> None:
    """The server polled Redis recently, or reports that Redis is down: a restart would not help then."""
    from consumers.commands.common import load_settings
    from streams.settings import Settings

    port = load_settings(Settings).http_port
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=4) as answer:
            status = json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            status = json.load(error)
    except OSError as error:
        raise UnhealthyError(f"no answer: {error}") from None
    age_s = (status["now"] - (status["read_at"] or 0)) / 1000
    if age_s > READ_WITHIN_S and not any("Redis" in reason for reason in status["reasons"]):
        raise UnhealthyError(f"last poll of Redis was {age_s:.0f} s ago")


async def _published(role: str) -> None:
    """The process reported recently, and a worker counts while records wait."""
    from redis.exceptions import RedisError

    from consumers.commands.common import load_settings
    from streams.settings import Settings
    from streams.store.connection import UNREACHABLE, connect
    from streams.store.keys import Keys
    from streams.store.reference_clock import server_time_ms
    from streams.store.state import read_state

    settings = load_settings(Settings)
    keys, redis = Keys(settings.redis_prefix, settings.shards), connect(settings)
    try:
        held = await redis.hgetall(keys.workers)
        state = await read_state(redis, keys)
        now_ms = await server_time_ms(redis, keys)
    except (RedisError, *UNREACHABLE) as error:
        raise UnhealthyError(f"Redis does not answer: {error}") from None
    finally:
        await redis.aclose()
    # Names of `alerts` processes lack the host name: any live one is sufficient.
    prefix = f"{socket.gethostname()}-" if role == "worker" else f"{role}-"
    mine = newest(held, prefix)
    if mine is None:
        raise UnhealthyError("no report in Redis")
    reported_ms, text = mine
    if (age_s := (now_ms - reported_ms) / 1000) > REPORTED_WITHIN_S:
        raise UnhealthyError(f"last report was {age_s:.0f} s ago")
    if role == "worker":
        waiting = sum(partition.lag or 0 for partition in state.partitions.values())
        _moves(sum(map(float, _COUNTED.findall(text))), waiting)


def newest(held: Mapping[bytes | str, bytes | str], prefix: str) -> tuple[int, bytes] | None:
    """The newest report of the processes with a name prefix: its time in epoch ms, and its metrics."""
    found = []
    for name, text in held.items():
        if isinstance(name, bytes) and isinstance(text, bytes) and name.startswith(prefix.encode()):
            reported_ms, _, metrics = text.partition(b"\n")
            found.append((int(reported_ms), metrics))
    return max(found, default=None)


def _moves(counted: float, waiting: float) -> None:
    """Raise UnhealthyError if records wait at two checks in a row and none was counted in between."""
    before = {}
    if _SEEN.exists():
        before = json.loads(_SEEN.read_text())
    _SEEN.write_text(json.dumps({"counted": counted, "waiting": waiting}))
    if waiting and before and counted == before["counted"] and waiting >= before["waiting"] > 0:
        raise UnhealthyError(f"{waiting:.0f} records wait, and none was counted since the last check")


if __name__ == "__main__":
    try:
        healthy(sys.argv[1])
    except UnhealthyError as wrong:
        print(wrong)  # noqa: T201 - the engine shows it
        sys.exit(1)
