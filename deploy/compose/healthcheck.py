"""Container health check by progress: `python healthcheck.py worker|alerts|serve`.

A worker or `alerts` process reports in Redis once a second from its main loop, and the count of a worker's records
increases while records wait. `serve` polls Redis. Answering requests is not enough to be healthy.

Exits with 0, or with 1 and one line that states the problem.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streams.store.process_reports import ProcessReport, ProcessReports

REPORTED_WITHIN_S = 15.0
"""Processes report once a second."""
READ_WITHIN_S = 30.0
_SEEN = Path(os.environ.get("TMPDIR", "/tmp")) / "salepulse-healthcheck.json"


class UnhealthyError(Exception):
    """The role is unhealthy; the message states the problem."""


def healthy(role: str) -> None:
    """Check a role. Raises UnhealthyError."""
    if role == "serve":
        _serve()
    else:
        asyncio.run(_reported(role))


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


async def _reported(role: str) -> None:
    """The process reported recently, and a worker counts while records wait."""
    from redis.exceptions import RedisError

    from consumers.commands.common import load_settings
    from streams.settings import Settings
    from streams.store.connection import UNREACHABLE, connect
    from streams.store.keys import Keys
    from streams.store.reader import read_reports
    from streams.store.reference_clock import server_time_ms
    from streams.store.state import read_state

    settings = load_settings(Settings)
    keys, redis = Keys(settings.redis_prefix, settings.shards), connect(settings)
    try:
        reports = await read_reports(redis, keys)
        state = await read_state(redis, keys)
        now_ms = await server_time_ms(redis, keys)
    except (RedisError, *UNREACHABLE) as error:
        raise UnhealthyError(f"Redis does not answer: {error}") from None
    finally:
        await redis.aclose()
    # Names of `alerts` processes lack the host name: any live one is sufficient.
    prefix = f"{socket.gethostname()}-" if role == "worker" else f"{role}-"
    mine = newest(reports, prefix)
    if mine is None:
        raise UnhealthyError("no report in Redis")
    if (age_s := (now_ms - mine.at_ms) / 1000) > REPORTED_WITHIN_S:
        raise UnhealthyError(f"last report was {age_s:.0f} s ago")
    if role == "worker":
        waiting = sum(partition.lag or 0 for partition in state.partitions.values())
        _moves(mine.records, waiting)


def newest(reports: ProcessReports, prefix: str) -> ProcessReport | None:
    """The newest report of the processes with a name prefix."""
    found = [report for name, report in reports.items() if name.startswith(prefix)]
    return max(found, default=None, key=lambda report: report.at_ms)


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
