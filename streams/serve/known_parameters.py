"""Query parameters that a route does not have, or has once: refused, since the answer would be to another question."""

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
"""Only these paths: what scrapes and probes add to the others' is theirs."""

_MOST_NAMED = 64
_known: dict[int, tuple[APIRoute, Mapping[str, bool]]] = {}


async def check_parameters(request: Request) -> None:
    """Refuse a request with a parameter that its route does not know, or with one twice that it takes once.

    Raises:
        ApiError: 422 `unknown_parameter` or `invalid_parameter`.
    """
    if not request.scope["query_string"] or not request.url.path.startswith(CHECKED):
        return
    route = request.scope.get("route")
    if isinstance(route, APIRoute):
        check(known_parameters(route), Counter(name for name, _ in request.query_params.multi_items()))


def known_parameters(route: APIRoute) -> Mapping[str, bool]:
    """The query parameters of a route, in their order, and whether each may be given several times."""
    held = _known.get(id(route))
    if held is None or held[0] is not route:
        held = _known[id(route)] = (route, _declared(route.dependant))
    return held[1]


def check(known: Mapping[str, bool], given: Mapping[str, int]) -> None:
    """Compare what was given, how many times each, with what is known."""
    for name, times in given.items():
        if name not in known:
            shown = name if len(name) <= _MOST_NAMED else f"{name[:_MOST_NAMED]}…"
            close = get_close_matches(name, known, 1)
            hint = f"; do you mean {close[0]!r}?" if close else ""
            there = f"known: {', '.join(known)}" if known else "there are none here"
            raise ApiError(422, "unknown_parameter", f"unknown parameter {shown!r}; {there}{hint}")
        if times > 1 and not known[name]:
            raise ApiError(422, "invalid_parameter", f"parameter {name} is given {times} times: give it once")


def _declared(dependant: Dependant) -> dict[str, bool]:
    known = {field.alias: _many(field.field_info) for field in dependant.query_params}
    for needed in dependant.dependencies:
        known |= _declared(needed)
    return known


def _many(info: FieldInfo) -> bool:
    return getattr(info.annotation, "__origin__", info.annotation) in (list, tuple, set)
