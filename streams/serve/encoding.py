"""JSON, quickly: answers may hold a thousand items, which FastAPI's own path would walk several times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

_encode = msgspec.json.Encoder().encode


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response of builtin types; answers are of one moment, so nobody is to keep them."""
    return Response(_encode(content), status, {"cache-control": "no-store", **(headers or {})}, "application/json")
