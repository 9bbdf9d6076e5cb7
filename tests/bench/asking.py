"""A client of `salepulse serve` over one kept connection."""

from __future__ import annotations

import http.client
import json
import time
from types import TracebackType
from typing import Any, Self

from tests.bench.ground import BenchError
from tests.support.servers import Server

READY_WITHIN_S = 120.0


class Asker:
    """One connection; not for two threads."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection = http.client.HTTPConnection(server.host, server.port, timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()

    def get(self, path: str) -> tuple[int, bytes, float]:
        """(status, body, milliseconds until all of it was there)."""
        began = time.perf_counter()
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        body = answer.read()
        return answer.status, body, 1000 * (time.perf_counter() - began)

    def kpis(self, query: str) -> dict[str, Any] | None:
        """An answer about KPIs; None while there is none yet."""
        status, body, _ = self.get(f"/api/v1/kpis?{query}")
        if status == 503:
            return None
        if status != 200:
            raise BenchError(f"/api/v1/kpis?{query} answers {status}: {body[:300]!r}")
        found: dict[str, Any] = json.loads(body)
        return found

    def until_ready(self) -> None:
        """Until /readyz is 200."""
        deadline = time.monotonic() + READY_WITHIN_S
        while (answer := self.get("/readyz"))[0] != 200:
            if time.monotonic() > deadline:
                raise BenchError(f"serve is not ready after {READY_WITHIN_S:.0f} s: {answer[1][:300]!r}")
            time.sleep(0.1)
