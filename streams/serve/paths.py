"""Ids in paths: a percent-encoded `/` is part of the id."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote, unquote

from pydantic import BeforeValidator
from starlette.types import ASGIApp, Receive, Scope, Send


def routed_path(raw_path: str) -> str:
    """The path to match routes with: decoded by segment, except for `/` and `%` within a segment.

    >>> routed_path("/stock/TEE%2FRED"), routed_path("/stock/%E7%BA%A2"), routed_path("/stock/100%25")
    ('/stock/TEE%2FRED', '/stock/红', '/stock/100%25')
    """
    if "%" not in raw_path:
        return raw_path
    return "/".join(_protected(unquote(segment)) for segment in raw_path.split("/"))


def _protected(segment: str) -> str:
    return segment.replace("%", "%25").replace("/", "%2F")


def path_segment(text: str) -> str:
    """An id as a path segment.

    >>> path_segment("TEE/RED 50%?")
    'TEE%2FRED%2050%25%3F'
    """
    return quote(text, safe="")


def _decoded(segment: object) -> object:
    return unquote(segment) if isinstance(segment, str) else segment


PathId = Annotated[str, BeforeValidator(_decoded)]
"""A path parameter with an id of the shop: any characters, percent-encoded in the URL."""


class EncodedIds:
    """ASGI middleware: routes see `routed_path` instead of the path decoded as a whole."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] == "http" and (raw_path := scope.get("raw_path")):
            scope = {**scope, "path": routed_path(raw_path.decode("ascii"))}
        await self._app(scope, receive, send)


class HeadAsGet:
    """ASGI middleware: answers HEAD like GET, without a body. Not for streams, which do not end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] == "http" and scope["method"] == "HEAD" and not scope["path"].endswith("/stream"):
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)
