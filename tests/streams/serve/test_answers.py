"""What every answer is made from."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import isasyncgenfunction, iscoroutinefunction

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIRouter

from streams.serve.app import ROUTERS, declared_routers


def test_no_request_waits_for_a_thread() -> None:
    """The framework calls plain functions in a pool of threads, each way past whatever else is computed."""
    plain = [
        (path, dependant.call)
        for router in (*ROUTERS, *declared_routers())
        for path, dependant in _dependants(router)
        if dependant.call is not None
        and not (iscoroutinefunction(dependant.call) or isasyncgenfunction(dependant.call))
    ]
    assert plain == []


def _dependants(router: APIRouter) -> Iterator[tuple[str, Dependant]]:
    """Of each route what answers it, and what that depends on."""
    for route in router.routes:
        if isinstance(route, APIRoute):
            yield route.path, route.dependant
            yield from ((route.path, needed) for needed in route.dependant.dependencies)
