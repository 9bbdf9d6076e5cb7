"""The HTTP server: one process's routes over one view. Any number of them may run side by side."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from importlib.metadata import entry_points

import structlog
import uvicorn
from fastapi import APIRouter, FastAPI

from consumers.errors import SalepulseError
from streams.serve import (
    compare,
    definitions,
    docs,
    errors,
    forecasts,
    health,
    kpis,
    metrics,
    promotions,
    series,
    shipping,
    stock,
)
from streams.serve.live import Live
from streams.settings import Settings

log = structlog.get_logger()

ROUTER_GROUP = "salepulse.routers"

ROUTERS = (
    kpis.router,
    compare.router,
    series.router,
    stock.router,
    shipping.router,
    promotions.router,
    definitions.router,
    metrics.router,
    health.router,
    docs.router,
)
"""Every group of routes of our own; other packages add theirs by entry points."""

_SWITCH_S = 0.0005
"""So long the view's thread may keep the interpreter from the one that serves HTTP."""
_ABOUT = (
    "Exact live KPIs of a shop's sale. Money is an integer of minor units, times are epoch ms, UTC. "
    "Every answer about KPIs carries the as-of: the event time up to which it counts."
)


def create_app(settings: Settings) -> FastAPI:
    """The app; it connects to Redis when it is started, and starts whether or not Redis is there."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        live = app.state.live = Live(settings)
        app.state.forecasts = forecasts.Forecasts(settings)
        app.state.exposition = metrics.Exposition(live, app.state.forecasts)
        await live.start()
        try:
            yield
        finally:
            await live.stop()

    app = FastAPI(title="salepulse", version="1", description=_ABOUT, lifespan=lifespan, docs_url=None, redoc_url=None)
    errors.install(app)
    for router in (*ROUTERS, *declared_routers()):
        app.include_router(router)
    return app


def declared_routers() -> list[APIRouter]:
    """Routes of packages that this one may not import; each declares its own as an entry point."""
    return [found.load() for found in sorted(entry_points(group=ROUTER_GROUP), key=lambda found: found.name)]


def bind(settings: Settings) -> socket.socket:
    """A socket on `http_host` and `http_port`.

    Raises:
        SalepulseError: the port is taken, or the address is not this machine's.
    """
    host, port = settings.http_host, settings.http_port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SalepulseError(f"cannot serve at {host}:{port} ({error}); choose another --http-host") from error
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise SalepulseError(
            f"cannot serve at {host}:{port} ({error.strerror}); stop what holds it, or choose another --http-port"
        ) from error
    return bound


def run(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM."""
    with bind(settings) as bound:
        host, port = bound.getsockname()[:2]
        log.info("serving", url=f"http://{f'[{host}]' if ':' in host else host}:{port}")
        sys.setswitchinterval(_SWITCH_S)
        config = uvicorn.Config(
            create_app(settings),
            loop="uvloop",
            access_log=False,
            log_level="warning",
            timeout_graceful_shutdown=5,
            server_header=False,
        )
        uvicorn.Server(config).run(sockets=[bound])
