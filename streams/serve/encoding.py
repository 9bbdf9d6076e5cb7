"""JSON, quickly: answers may hold a thousand items, which FastAPI's own path would walk several times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

_encode = msgspec.json.Encoder().encode


def error_response(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error as the API answers it. `code`: for programs; `message`: what is wrong, then what to do."""
    return json_response({"error": {"code": code, "message": message}}, status, headers)


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response of builtin types; answers are of one moment, so nobody is to keep them."""
    return Response(_encode(content), status, {"cache-control": "no-store", **(headers or {})}, "application/json")


class ApiModel(BaseModel):
    """Its fields' docstrings are their descriptions in OpenAPI."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
