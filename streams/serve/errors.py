"""Error responses: `{"error": {"code", "message"}}` and the matching status, for every kind of exception."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from consumers.errors import SalepulseError
from consumers.validation_messages import validation_message
from streams.model.windows import Window
from streams.serve.encoding import error_response
from streams.serve.http_limits import HttpLimit
from streams.store.connection import UNREACHABLE
from streams.store.refusal_kinds import REFUSAL_TEXTS, refusal_of
from streams.view.compare_rules import ComparisonPeriod
from streams.view.fair_queue import OverloadedError
from streams.view.query import NotAnswerableError, NotReadyError

log = structlog.get_logger()

_RETRY = {"retry-after": "1"}
_MOST_NAMED = 64
"""Maximum number of characters of an unknown name in an error."""

CLOSED_PARAMETERS: Mapping[str, Iterable[str]] = {
    "window": Window,
    "against": ComparisonPeriod,
    "compare": ComparisonPeriod,
}
"""Parameters with a closed set of values."""


class ApiError(Exception):
    """A request that a route cannot answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class ErrorDetail(BaseModel):
    """The error."""

    code: str
    """For programs; a closed set."""
    message: str
    """For people: the problem, then the fix."""


class ErrorAnswer(BaseModel):
    """The body of every error response."""

    error: ErrorDetail


ERRORS: dict[int | str, dict[str, Any]] = {
    422: {
        "model": ErrorAnswer,
        "description": "The query is invalid or cannot be answered; see the message.",
    },
    429: {
        "model": ErrorAnswer,
        "description": "The client's computing time is spent, or too many of its queries wait; see Retry-After.",
    },
    503: {
        "model": ErrorAnswer,
        "description": "Temporarily unavailable: nothing was counted yet, or Redis is down or refuses writes.",
    },
}
"""For the OpenAPI document."""


def unknown_value_error(what: str, name: str, known: Iterable[str]) -> ApiError:
    """A 422 error that lists the known values, and names a similar one."""
    known = tuple(known)
    shown = name if len(name) <= _MOST_NAMED else f"{name[:_MOST_NAMED]}…"
    close = get_close_matches(shown, known, 1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return ApiError(422, f"unknown_{what}", f"unknown {what} {shown!r}; known: {', '.join(known)}{hint}")


def install_error_handlers(app: FastAPI) -> None:
    """Register the handlers of all exceptions."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(NotAnswerableError, _not_answerable)
    app.add_exception_handler(SalepulseError, _not_now)
    app.add_exception_handler(OverloadedError, _overloaded)
    app.add_exception_handler(NotReadyError, _not_ready)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _internal)
    for error in (RedisError, *UNREACHABLE):
        app.add_exception_handler(error, _redis)


async def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error_response(error.status, error.code, str(error))


async def _not_answerable(_: Request, error: Exception) -> Response:
    return error_response(422, "not_answerable", str(error))


async def _not_ready(_: Request, error: Exception) -> Response:
    return error_response(503, "not_ready", str(error), _RETRY)


async def _not_now(_: Request, error: Exception) -> Response:
    return error_response(503, "not_now", str(error), _RETRY)


async def _overloaded(request: Request, error: Exception) -> Response:
    assert isinstance(error, OverloadedError)
    limit = HttpLimit(error.reason)
    request.app.state.limit_counts[limit] += 1
    status = 503 if limit is HttpLimit.DEADLINE else 429
    return error_response(status, limit, str(error), {"retry-after": str(error.retry_after_s)})


async def _redis(_: Request, error: Exception) -> Response:
    refusal = refusal_of(error)
    if refusal is not None:
        text = REFUSAL_TEXTS[refusal]
        log.warning("Redis rejected a command", reason=refusal.value, error=str(error))
        message = f"Redis {text.problem}; nothing was changed; {text.fix}, and retry"
        return error_response(503, "redis_refuses", message, _RETRY)
    log.warning("loading panes failed: Redis does not answer", error=str(error))
    message = "this needs panes from Redis, which does not answer: see /readyz, and retry"
    return error_response(503, "redis_unreachable", message, _RETRY)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = str(first["loc"][-1])
    if first["type"] == "enum" and name in CLOSED_PARAMETERS:
        wrong = unknown_value_error(name, str(first["input"]), CLOSED_PARAMETERS[name])
        return error_response(wrong.status, wrong.code, str(wrong))
    return error_response(422, "invalid_parameter", f"parameter {name}: {validation_message(first)}")


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    codes = {404: "not_found", 405: "method_not_allowed"}
    messages = {
        404: f"there is nothing at {request.url.path}; /docs lists all endpoints",
        405: f"{request.url.path} does not take {request.method}",
    }
    code, message = codes.get(error.status_code, "http_error"), messages.get(error.status_code, str(error.detail))
    return error_response(error.status_code, code, message, error.headers)


async def _internal(request: Request, _: Exception) -> Response:
    return error_response(
        500, "internal", f"internal error at {request.url.path}; the log of `salepulse serve` has the details"
    )
