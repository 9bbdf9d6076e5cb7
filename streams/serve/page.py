"""`/`: the page. It gets all data from the API and loads nothing from elsewhere.

The server inserts no data into the page; its script adds data as text. With tokens, the browser asks for one
(`streams.serve.token_auth`) and sends it with all requests of the page.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import Response

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
