"""`/`: the page, and `/docs`: the OpenAPI document as one plain page. They load nothing from elsewhere.

The server inserts no data into the page; its script adds data as text. With tokens, the browser asks for one
(`streams.serve.token_auth`) and sends it with all requests of the page. Swagger UI would load its scripts from a CDN,
which a closed network cannot reach.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

router = APIRouter(include_in_schema=False)

_TYPES = {
    "index.html": "text/html",
    "page.css": "text/css",
    "main.js": "text/javascript",
    "chart.js": "text/javascript",
    "format.js": "text/javascript",
    "status.js": "text/javascript",
}
_HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


@router.get("/")
async def index() -> Response:
    """The page."""
    return _sent("index.html")


@router.get("/page/{name}")
async def part(name: str) -> Response:
    """A file of the page."""
    if name not in _TYPES:
        raise HTTPException(404)
    return _sent(name)


def _sent(name: str) -> Response:
    return Response(_content(name), media_type=_TYPES[name], headers=_HEADERS)


@cache
def _content(name: str) -> bytes:
    return files("streams.serve").joinpath("assets", name).read_bytes()


_DOCS_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
code { font-size: 95% } table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #8884 }
"""


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """All endpoints with their parameters."""
    document = request.app.openapi()
    return HTMLResponse("".join(_docs_page(document)))


def _docs_page(document: dict[str, Any]) -> Iterator[str]:
    title, about = escape(document["info"]["title"]), escape(document["info"]["description"])
    yield f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{_DOCS_STYLE}</style>"
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
        known = schemas.get(schema.get("$ref", "").rpartition("/")[2], {}).get("enum", schema.get("enum", []))
        meaning = " ".join([parameter.get("description", ""), ", ".join(known)])
        default = schema.get("default", "required" if parameter["required"] else "")
        yield f"<tr><td><code>{escape(parameter['name'])}</code><td>{escape(meaning)}<td>{escape(str(default))}"
    yield "</table>"
