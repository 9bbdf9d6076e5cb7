"""Rewrites request targets before routing: ids with an encoded `/`, HEAD, and targets in absolute form."""

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


def split_target(target: bytes) -> tuple[bytes, bytes] | None:
    """Host and path of a target in absolute form; None for other forms.

    >>> split_target(b"http://localhost:8080/readyz"), split_target(b"HTTP://[::1]"), split_target(b"/a//b")
    ((b'localhost:8080', b'/readyz'), (b'[::1]', b'/'), None)
    """
    scheme, separator, rest = target.partition(b"://")
    host, slash, path = rest.partition(b"/")
    if not separator or scheme.lower() not in (b"http", b"https") or not host:
        return None
    return host, slash + path or b"/"


class RewriteTargets:
    """ASGI middleware: rewrites the target and method of a request.

    A target in absolute form (`GET http://host/path`), which every HTTP/1.1 server must accept, becomes its path; its
    host replaces the Host header, so that host checks apply to it. Routes see `routed_path` instead of the path decoded
    as a whole. HEAD is answered like GET, without a body, except for streams, which do not end.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] == "http":
            if (parts := split_target(scope.get("raw_path") or b"")) is not None:
                host, path = parts
                headers = [(name, text) for name, text in scope["headers"] if name != b"host"]
                # In place: the connection reads the path too.
                scope.update(path=unquote(path.decode("ascii")), raw_path=path, headers=[(b"host", host), *headers])
            scope = dict(scope)
            if raw_path := scope.get("raw_path"):
                scope["path"] = routed_path(raw_path.decode("ascii"))
            if scope["method"] == "HEAD" and not scope["path"].endswith("/stream"):
                scope["method"] = "GET"
        await self._app(scope, receive, send)
