"""Requests with a target in absolute form, as sent to proxies; every HTTP/1.1 server must accept them."""

from __future__ import annotations

from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

_SCHEMES = (b"http", b"https")


def split_target(target: bytes) -> tuple[bytes, bytes] | None:
    """Host and path of a target in absolute form; None for other forms.

    >>> split_target(b"http://localhost:8080/readyz"), split_target(b"HTTP://[::1]"), split_target(b"/a//b")
    ((b'localhost:8080', b'/readyz'), (b'[::1]', b'/'), None)
    """
    scheme, separator, rest = target.partition(b"://")
    host, slash, path = rest.partition(b"/")
    if not separator or scheme.lower() not in _SCHEMES or not host:
        return None
    return host, slash + path or b"/"


class AbsoluteForm:
    """ASGI middleware: rewrites such requests to the usual form. The host of the target replaces the Host header, so
    that host checks apply to it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] == "http" and (parts := split_target(scope.get("raw_path") or b"")) is not None:
            host, path = parts
            headers = [(name, text) for name, text in scope["headers"] if name != b"host"]
            # In place: the connection reads the path too.
            scope.update(path=unquote(path.decode("ascii")), raw_path=path, headers=[(b"host", host), *headers])
        await self._app(scope, receive, send)
