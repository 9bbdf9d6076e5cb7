"""Rejects unknown and repeated query parameters, which would otherwise silently change the query."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from difflib import get_close_matches

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic.fields import FieldInfo

from streams.serve.errors import ApiError

CHECKED = "/api/"
"""Other paths may get parameters from scrapers and probes."""

_MOST_NAMED = 64
"""Maximum number of characters of an unknown name in an error."""
_known: dict[int, tuple[APIRoute, Mapping[str, bool]]] = {}


async def check_parameters(request: Request) -> None:
    """Reject a request with an unknown parameter, or with one given too often.

    Raises:
        ApiError: 422 `unknown_parameter` or `invalid_parameter`.
    """
    if not request.scope["query_string"] or not request.url.path.startswith(CHECKED):
        return
    route = request.scope.get("route")
    if isinstance(route, APIRoute):
        check(known_parameters(route), Counter(name for name, _ in request.query_params.multi_items()))


def known_parameters(route: APIRoute) -> Mapping[str, bool]:
    """# {query parameter of a route: whether it may be repeated}, in order"""
    cached = _known.get(id(route))
    if cached is None or cached[0] is not route:
        cached = _known[id(route)] = (route, _declared(route.dependant))
    return cached[1]


def check(known: Mapping[str, bool], given: Mapping[str, int]) -> None:
    """Compare the given parameters, with their counts, to the known ones."""
    for name, times in given.items():
        if name not in known:
            shown = name if len(name) <= _MOST_NAMED else f"{name[:_MOST_NAMED]}…"
            close = get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            listing = f"known: {', '.join(known)}" if known else "there are none here"
            raise ApiError(422, "unknown_parameter", f"unknown parameter {shown!r}; {listing}{hint}")
        if times > 1 and not known[name]:
            raise ApiError(422, "invalid_parameter", f"parameter {name} is given {times} times: give it once")


def _declared(dependant: Dependant) -> dict[str, bool]:
    known = {field.alias: _many(field.field_info) for field in dependant.query_params}
    for needed in dependant.dependencies:
        known |= _declared(needed)
    return known


def _many(info: FieldInfo) -> bool:
    return getattr(info.annotation, "__origin__", info.annotation) in (list, tuple, set)
