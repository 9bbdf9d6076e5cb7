"""Whether a role makes progress: what a container's health is. `python healthcheck.py worker|alerts|serve`.

A worker, or `alerts`, leaves its metrics in Redis once a second, from the loop that does its work; a worker's counters
move as long as something waits. `serve` follows Redis. A process that only answers is not healthy by that.

Ends with 0 or 1, and says in one line what is wrong.
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

HEARD_WITHIN_S = 15.0
"""Without word for so long something is wrong: word comes once a second."""
READ_WITHIN_S = 30.0
_COUNTED = re.compile(rb"^salepulse_batch_records_sum\{.*\} (\S+)$", re.MULTILINE)
_SEEN = Path(os.environ.get("TMPDIR", "/tmp")) / "salepulse-healthcheck.json"


class UnhealthyError(Exception):
    """Says what is wrong."""


def healthy(role: str) -> None:
    """Return if it is. Raises UnhealthyError."""
    if role == "serve":
        _serve()
    else:
        asyncio.run(_published(role))


def _serve() -> None:
    """It looked into Redis lately; if Redis is away it says so, and starting it again would help nobody."""
    from consumers.commands.common import load_settings
    from streams.settings import Settings

    port = load_settings(Settings).http_port
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=4) as answer:
            said = json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            said = json.load(error)
    except OSError as error:
        raise UnhealthyError(f"no answer: {error}") from None
    age_s = (said["now"] - (said["read_at"] or 0)) / 1000
    if age_s > READ_WITHIN_S and not any("Redis" in reason for reason in said["reasons"]):
        raise UnhealthyError(f"it last looked into Redis {age_s:.0f} s ago")


async def _published(role: str) -> None:
    """Ours was heard of lately, and counts if anything waits."""
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
    # Processes of `alerts` do not carry their host's name: that one of them is at work is enough.
    prefix = f"{socket.gethostname()}-" if role == "worker" else f"{role}-"
    mine = newest(held, prefix)
    if mine is None:
        raise UnhealthyError("it has not been heard of")
    said_ms, text = mine
    if (age_s := (now_ms - said_ms) / 1000) > HEARD_WITHIN_S:
        raise UnhealthyError(f"it was last heard of {age_s:.0f} s ago")
    if role == "worker":
        waiting = sum(partition.lag or 0 for partition in state.partitions.values())
        _moves(sum(map(float, _COUNTED.findall(text))), waiting)


def newest(held: Mapping[bytes | str, bytes | str], prefix: str) -> tuple[int, bytes] | None:
    """When a process whose name begins so was last heard of, epoch ms, and what it left."""
    found = []
    for name, text in held.items():
        if isinstance(name, bytes) and isinstance(text, bytes) and name.startswith(prefix.encode()):
            said_ms, _, metrics = text.partition(b"\n")
            found.append((int(said_ms), metrics))
    return max(found, default=None)


def _moves(counted: float, waiting: float) -> None:
    """Something waits at two checks in a row, as much or more, and nothing was counted between them: it is stuck."""
    before = {}
    if _SEEN.exists():
        before = json.loads(_SEEN.read_text())
    _SEEN.write_text(json.dumps({"counted": counted, "waiting": waiting}))
    if waiting and before and counted == before["counted"] and waiting >= before["waiting"] > 0:
        raise UnhealthyError(f"{waiting:.0f} records wait, and it has counted none since the last look")


if __name__ == "__main__":
    try:
        healthy(sys.argv[1])
    except UnhealthyError as wrong:
        print(wrong)  # noqa: T201 - the engine shows it
        sys.exit(1)
