"""Queries of `expected.json` against a serve process."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import httpx

from tests.support.expected import Query, Values


class HttpApi:
    """The API at a URL. `client_options`: further httpx options, such as headers or certificates."""

    def __init__(self, url: str, **client_options: Any) -> None:
        self.url = url
        self._client_options = client_options

    def ask(self, queries: Sequence[Query]) -> list[Mapping[str, Values]]:
        """The answers of each query, by value of the scope."""
        with httpx.Client(base_url=self.url, timeout=30, **self._client_options) as client:
            return [_answer(client, query) for query in queries]

    def as_of_ms(self) -> int | None:
        """The newest as-of; None if there is none, or no server answers."""
        try:
            answer = httpx.get(f"{self.url}/api/v1/kpis", timeout=5, **self._client_options)
        except httpx.TransportError:
            return None
        return int(answer.json()["as_of"]) if answer.status_code == HTTPStatus.OK else None

    def read_ms(self) -> int:
        """Time in Redis up to which every answer includes all counted events; 0 if no server answers."""
        try:
            return int(httpx.get(f"{self.url}/readyz", timeout=5, **self._client_options).json()["read_at"] or 0)
        except httpx.TransportError:
            return 0


def _answer(client: httpx.Client, query: Query) -> Mapping[str, Values]:
    asked = {"window": query.window, "scope": query.scope, "as_of": query.as_of}
    asked |= {"value": query.value} if query.value else {}
    asked |= {"promotion": query.promotion} if query.promotion else {}
    response = client.get("/api/v1/kpis", params=asked)
    until = time.monotonic() + 120
    while time.monotonic() < until and response.status_code in (429, 503):  # as any client with many requests does
        time.sleep(float(response.headers.get("retry-after", 1)))
        response = client.get("/api/v1/kpis", params=asked)
    assert response.status_code == HTTPStatus.OK, f"{query}: {response.text}"
    body = response.json()
    assert body["as_of"] == query.as_of
    items = body["items"] if query.value is None else [{"value": query.value, "values": body["values"]}]
    return {item["value"]: item["values"] for item in items}
