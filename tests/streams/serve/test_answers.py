"""Dependencies of routes."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import isasyncgenfunction, iscoroutinefunction

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIRouter

from streams.serve.app import ROUTERS, declared_routers


def test_no_route_needs_the_thread_pool() -> None:
    """FastAPI calls plain functions in a thread pool, behind other work."""
    plain = [
        (path, dependant.call)
        for router in (*ROUTERS, *declared_routers())
        for path, dependant in _dependants(router)
        if dependant.call is not None
        and not (iscoroutinefunction(dependant.call) or isasyncgenfunction(dependant.call))
    ]
    assert plain == []


def _dependants(router: APIRouter) -> Iterator[tuple[str, Dependant]]:
    """Each route's endpoint and its dependencies."""
    for route in router.routes:
        if isinstance(route, APIRoute):
            yield route.path, route.dependant
            yield from ((route.path, needed) for needed in route.dependant.dependencies)
