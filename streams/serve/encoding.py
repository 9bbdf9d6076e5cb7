"""JSON responses with msgspec: FastAPI's encoder traverses large answers several times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

_encode = msgspec.json.Encoder().encode


def error_response(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error response. `code`: for programs; `message`: the problem, then the fix."""
    return json_response({"error": {"code": code, "message": message}}, status, headers)


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response of builtin types, which clients must not cache."""
    return Response(_encode(content), status, {"cache-control": "no-store", **(headers or {})}, "application/json")


class ApiModel(BaseModel):
    """A model whose field docstrings are the descriptions in OpenAPI."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
