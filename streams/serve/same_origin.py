"""Rejects requests of pages of other sites; see `streams.serve.hosts`."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from streams.serve.encoding import error_response
from streams.serve.hosts import ForbiddenRequest, authority, forbidden_request, names_in, split_host
from streams.settings import Settings
from streams.tokens.token import OPEN_PATHS

_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_NOT_JSON = "the body must be JSON: send the header `Content-Type: application/json`"


class SameOrigin:
    """ASGI middleware; runs before tokens are checked, and also without tokens."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._known = known_hosts(settings)
        self._origins = _public_origins(settings)
        self._probes_by_any_name = bool(settings.tokens_file)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403, 415 or 421."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (self._app if refusal is None else refusal)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers, method = Headers(scope=scope), scope["method"]
        known = self._known
        if self._probes_by_any_name and method in ("GET", "HEAD") and scope["path"] in OPEN_PATHS:
            known = None
        reason = forbidden_request(method, headers, known=known, origins=self._origins)
        if reason is ForbiddenRequest.UNKNOWN_HOST:
            return error_response(
                421,
                reason,
                f"unknown host {split_host(headers['host'])[0]!r}: use localhost or 127.0.0.1, or add the name to the "
                "setting "
                "http_allowed_hosts",
            )
        if reason is ForbiddenRequest.FOREIGN_ORIGIN:
            return error_response(
                403,
                reason,
                "pages of other sites cannot change anything: use the page of this server, or a client that sends no "
                "Origin; behind a proxy, set public_url to the public address",
            )
        if method in _BODY_METHODS and _has_body(headers) and not is_json(headers.get("content-type", "")):
            return error_response(415, "not_json", _NOT_JSON)
        return None


def _has_body(headers: Headers) -> bool:
    return "content-type" in headers or "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def is_json(content_type: str) -> bool:
    """Whether a content type is JSON. A form of another site cannot send that."""
    return content_type.partition(";")[0].strip().lower() == "application/json"


def known_hosts(settings: Settings) -> Collection[str] | None:
    """Names of this server besides loopback; None: any.

    With tokens any name is allowed unless names are set: browsers send a token only to the name that it was entered
    for. Without tokens every client on loopback has full access, which includes pages in a browser.
    """
    allowed = names_in(settings.http_allowed_hosts)
    if settings.tokens_file and not allowed:
        return None
    names = {split_host(settings.http_host)[0] if ":" not in settings.http_host else settings.http_host.lower()}
    if settings.public_url:
        names.add((urlsplit(settings.public_url).hostname or "").lower())
    return frozenset((names | allowed) - {"", "0.0.0.0", "::"})


def _public_origins(settings: Settings) -> Collection[str]:
    if not settings.public_url:
        return frozenset()
    parts = urlsplit(settings.public_url)
    return frozenset({authority(parts.netloc.rpartition("@")[2], parts.scheme)})
