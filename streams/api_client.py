"""Asking our own HTTP API, as any other client would."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

TIMEOUT_S = 5.0
# Straight to the server: a proxy that the environment names is for other hosts.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ApiClient:
    """GET requests to one server."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def get(self, path: str, **parameters: str | int) -> tuple[int, Any]:
        """Status and JSON of an answer; status 0 and the reason when there is none."""
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        return await asyncio.to_thread(self._get, f"{self.url}{path}{query}")

    @staticmethod
    def _get(url: str) -> tuple[int, Any]:
        try:
            with _opener.open(url, timeout=TIMEOUT_S) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _json(error.read())
        except (OSError, ValueError) as error:
            return 0, str(error)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")[:200]
