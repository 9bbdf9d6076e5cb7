"""`/`: the page. It asks the API for everything that it shows, and needs nothing from elsewhere.

Nothing that was asked for or counted is put into what is sent here: the page puts it in itself, as text. Where there
are tokens the browser asks for one (`streams.serve.token_auth`), and sends it along with all that the page asks.
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
    "standing.js": "text/javascript",
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
    """What the page is made of."""
    if name not in _TYPES:
        raise HTTPException(404)
    return _sent(name)


def _sent(name: str) -> Response:
    return Response(_content(name), media_type=_TYPES[name], headers=_HEADERS)


@cache
def _content(name: str) -> bytes:
    return files("streams.serve").joinpath("assets", name).read_bytes()
