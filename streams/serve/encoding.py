"""JSON responses with msgspec: FastAPI's encoder traverses large answers several times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response


def error_response(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error response. `code`: for programs; `message`: the problem, then the fix."""
    return json_response({"error": {"code": code, "message": message}}, status, headers)


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response, which clients must not cache. `content`: builtin types and pydantic models."""
    return Response(_encode(content), status, {"cache-control": "no-store", **(headers or {})}, "application/json")


class ApiModel(BaseModel):
    """A model whose field docstrings are the descriptions in OpenAPI."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


def _content_of(model: object) -> object:
    """The JSON of a pydantic model; events omit fields that they lack."""
    if isinstance(model, ApiModel):
        return vars(model)
    assert isinstance(model, BaseModel)
    return model.model_dump(mode="json", exclude_none=True)


_encode = msgspec.json.Encoder(enc_hook=_content_of).encode
