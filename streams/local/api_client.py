"""A client of our own HTTP API."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from streams.process.startup_checks import client_context

TIMEOUT_S = 5.0


class ApiClient:
    """Sends GET requests to one salepulse server; over TLS, only its own certificate is trusted."""

    def __init__(self, url: str, cert_file: str = "") -> None:
        self.url = url
        # No proxy of the environment.
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if cert_file:
            handlers.append(urllib.request.HTTPSHandler(context=client_context(Path(cert_file))))
        self._opener = urllib.request.build_opener(*handlers)

    async def get(self, path: str, **parameters: str | int) -> tuple[int, Any]:
        """Status and JSON of a response; status 0 and the error if there is none."""
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        return await asyncio.to_thread(self._get, f"{self.url}{path}{query}")

    def _get(self, url: str) -> tuple[int, Any]:
        try:
            with self._opener.open(url, timeout=TIMEOUT_S) as answer:
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
