"""Authenticates requests by token; every route requires one."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from consumers.times import format_utc
from streams.clock import now_ms
from streams.serve.encoding import error_response
from streams.tokens.file import TokenStore
from streams.tokens.token import required_scope, secret_of_header
from streams.view.fair_queue import current_client

_CHALLENGE = {"www-authenticate": 'Basic realm="salepulse", charset="UTF-8", Bearer realm="salepulse"'}
"""Programs send `Authorization: Bearer TOKEN`. Browsers ask for a user and a password; the password is the token, so
that the page works without storing secrets in scripts."""


class TokenAuth:
    """ASGI middleware: rejects requests without a valid token."""

    def __init__(self, app: ASGIApp, tokens: TokenStore) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401 or 403."""
        refusal = None if scope["type"] == "lifespan" else self._refusal(scope)
        await (self._app if refusal is None else refusal)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        needed = required_scope(scope.get("method", ""), scope["path"])
        if needed is None:
            return None
        header = Headers(scope=scope).get("authorization")
        if header is None:
            return _unknown("this needs a token: send the header `Authorization: Bearer TOKEN`")
        secret = secret_of_header(header)
        token = None if secret is None else self._tokens.find(secret)
        if token is None:
            return _unknown("unknown token: create one with `salepulse tokens create`")
        if token.expires_ms is not None and token.expired(now_ms()):
            return _unknown(
                f"token {token.name!r} expired at {format_utc(token.expires_ms)}: create a new one with `salepulse "
                "tokens create`"
            )
        if not token.scope.includes(needed):
            return error_response(
                403,
                "forbidden",
                f"this needs a token of scope {needed}, and {token.name!r} has scope {token.scope}: create one with "
                f"`salepulse tokens create NAME --scope {needed}`",
            )
        current_client.set(token.name)
        return None


def _unknown(message: str) -> Response:
    response = error_response(401, "unauthorized", message)
    response.headers.update(_CHALLENGE)
    return response
