"""`/docs`: the OpenAPI document as one plain page.

Swagger UI loads its scripts from a CDN, which a closed network cannot reach.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
code { font-size: 95% } table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #8884 }
"""


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """All endpoints with their parameters."""
    document = request.app.openapi()
    return HTMLResponse("".join(_page(document)))


def _page(document: dict[str, Any]) -> Iterator[str]:
    title, about = escape(document["info"]["title"]), escape(document["info"]["description"])
    yield f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{_STYLE}</style>"
    yield f"<h1>{title}</h1><p>{about}</p>"
    yield '<p>OpenAPI document with all schemas: <a href="/openapi.json">/openapi.json</a></p>'
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"<h2><code>{method.upper()} {escape(path)}</code></h2>"
            yield f"<p>{escape(operation.get('description', ''))}</p>"
            yield from _parameters(operation.get("parameters", []), document["components"]["schemas"])


def _parameters(parameters: list[dict[str, Any]], schemas: dict[str, Any]) -> Iterator[str]:
    if not parameters:
        return
    yield "<table><tr><th>parameter<th>meaning<th>default"
    for parameter in parameters:
        schema = parameter["schema"]
        known = schemas.get(schema.get("$ref", "").rpartition("/")[2], {}).get("enum", [])
        meaning = " ".join([parameter.get("description", ""), ", ".join(known)])
        default = schema.get("default", "required" if parameter["required"] else "")
        yield f"<tr><td><code>{escape(parameter['name'])}</code><td>{escape(meaning)}<td>{escape(str(default))}"
    yield "</table>"
