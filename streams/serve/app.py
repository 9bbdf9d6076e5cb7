"""The HTTP server: all routes over one view. Any number of servers may run side by side."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from uvicorn.config import STARTUP_FAILURE

from consumers.errors import SalepulseError
from streams.dictionary.builtin import BUILT_IN
from streams.dictionary.types import Model
from streams.model.kpis import numbers_of
from streams.process.startup_checks import check_certificate, check_exposure, is_loopback
from streams.process.tuning import file_limit, raise_file_limit, tune_memory, tune_threads
from streams.serve import definitions, errors, health, kpis, metrics, page, promotions, series, shipping, stock, stream
from streams.serve.broadcast import Broadcast
from streams.serve.connections import MAX_HEAD_BYTES, Connections, bounded_protocol, most_connections
from streams.serve.http_limits import HttpLimitCounts
from streams.serve.live import Live
from streams.serve.parameters import check_parameters
from streams.serve.paths import RewriteTargets
from streams.serve.request_limits import CancelOnDisconnect, RequestLimits
from streams.serve.same_origin import SameOrigin
from streams.serve.token_auth import TokenAuth
from streams.settings import Settings
from streams.store.connection import Access, connect
from streams.tokens.file import TokenStore
from streams.view import forecasts

log = structlog.get_logger()

ROUTER_GROUP = "salepulse.routers"

ROUTERS = (
    kpis.router,
    series.router,
    stream.router,
    stock.router,
    shipping.router,
    promotions.router,
    definitions.router,
    metrics.router,
    health.router,
    page.router,
)
"""Our own routes; other packages add theirs by entry points."""

_UNTAKEN_MS = 60_000
"""TCP_USER_TIMEOUT: how long sent data may stay unacknowledged."""
_EXPIRES_SOON = timedelta(days=14)
_HANDSHAKE_WITHIN_S = 5.0
_ABOUT = (
    "Exact live KPIs of a shop's sale. Money is in minor units, times are epoch ms, UTC. "
    "Every answer about KPIs carries its as-of: the event time up to which everything is counted."
)


def create_app(settings: Settings) -> FastAPI:
    """The app. It starts with or without Redis."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        live = app.state.live = Live(settings)
        app.state.broadcast = Broadcast(live, app.state.connections.most)
        app.state.forecasts = forecasts.Forecasts(settings)
        app.state.exposition = metrics.Exposition(live, app.state.forecasts, app.state.connections)
        await live.start()
        try:
            yield
        finally:
            app.state.broadcast.close()
            await live.stop()

    app = FastAPI(
        title="salepulse",
        version="1",
        description=_ABOUT,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(check_parameters)],
    )
    errors.install_error_handlers(app)
    app.add_middleware(CancelOnDisconnect)
    limit_counts = app.state.limit_counts = HttpLimitCounts()
    app.state.connections = Connections(most_connections(settings.http_connections, file_limit()), limit_counts)
    app.add_middleware(RequestLimits, limit_counts=limit_counts)
    if settings.tokens_file:
        app.add_middleware(TokenAuth, tokens=TokenStore(Path(settings.tokens_file)))
    # The middleware added last runs first.
    app.add_middleware(SameOrigin, settings=settings)
    app.add_middleware(RewriteTargets)
    for router in (*ROUTERS, *declared_routers()):
        app.include_router(router)
    document_of_routes = app.openapi
    app.openapi = lambda: with_names(document_of_routes(), _model(app))  # type: ignore[method-assign]  # as FastAPI documents it
    return app


def _model(app: FastAPI) -> Model:
    """The model in force; the built-in one before the app has started."""
    live: Live | None = getattr(app.state, "live", None)
    return BUILT_IN if live is None else live.model


def with_names(document: dict[str, Any], model: Model) -> dict[str, Any]:
    """The OpenAPI document with the names of a model as the values of parameters."""
    names = {"scope": model.dimensions, "by": numbers_of(model).additive, "name": model.names}
    for router in (kpis.router, series.router, stream.router):
        for route in router.routes:
            operation = document["paths"][route.path]["get"] if isinstance(route, APIRoute) else {}
            for parameter in operation.get("parameters", ()):
                if parameter["name"] in names:
                    parameter["schema"]["enum"] = list(names[parameter["name"]])
    return document


def declared_routers() -> list[APIRouter]:
    """Routes of packages above this one, declared as entry points."""
    return [point.load() for point in sorted(entry_points(group=ROUTER_GROUP), key=lambda point: point.name)]


def bind(settings: Settings) -> socket.socket:
    """A socket on `http_host` and `http_port`.

    Raises:
        SalepulseError: the port is in use, or the address is not on this machine.
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
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # connections inherit it: closes those whose client receives nothing
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNTAKEN_MS)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise SalepulseError(
            f"cannot serve at {host}:{port} ({error.strerror}); stop the process that uses it, or choose another "
            "--http-port"
        ) from error
    return bound


def run(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        SalepulseError: the server is exposed without tokens, a file is invalid, or the port is in use.
    """
    check_exposure(settings)
    connect(settings, Access.READ)  # fails here for an invalid file, not in the view's thread
    scheme = "https" if _certified(settings) else "http"
    most = most_connections(settings.http_connections, raise_file_limit())
    if most < settings.http_connections:
        log.warning("http_connections exceeds the limit of open files", file_limit=file_limit(), connections=most)
    with bind(settings) as bound:
        host, port = bound.getsockname()[:2]
        log.info("serving", url=f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")
        app = create_app(settings)
        tune_memory()
        tune_threads()
        server(app, settings).run(sockets=[bound])


def server(app: FastAPI, settings: Settings) -> uvicorn.Server:
    """The uvicorn server of an app."""
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=bounded_protocol(app.state.connections),
        ws="none",
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        access_log=False,
        log_level="error",  # malformed requests are counted, not logged
        timeout_graceful_shutdown=5,
        server_header=False,
        ssl_certfile=settings.http_cert_file or None,
        ssl_keyfile=settings.http_key_file or None,
    )
    return _Server(config, app)


class _Server(uvicorn.Server):
    """Ends streams before uvicorn waits for open responses."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on the sockets, like uvicorn, with a timeout for TLS handshakes: connections are counted only after
        these."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(STARTUP_FAILURE)
        config, loop = self.config, asyncio.get_running_loop()

        def connection() -> asyncio.Protocol:
            make: Any = config.http_protocol_class
            made: asyncio.Protocol = make(
                config=config, server_state=self.server_state, app_state=self.lifespan.state, _loop=loop
            )
            return made

        self.servers = []
        for bound in sockets or []:
            listening = await loop.create_server(
                connection,
                sock=bound,
                ssl=config.ssl,
                backlog=config.backlog,
                ssl_handshake_timeout=_HANDSHAKE_WITHIN_S if config.ssl else None,
            )
            self.servers.append(listening)
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End streams, finish other responses, and stop."""
        self._app.state.broadcast.close()
        await super().shutdown(sockets)


def _certified(settings: Settings) -> bool:
    """Whether to serve over TLS. Warns of an expiring certificate, and of tokens without TLS. Raises UsageError."""
    if not settings.http_cert_file:
        if settings.tokens_file and not is_loopback(settings.http_host):
            log.warning("serving tokens without TLS: set http_cert_file, or put a TLS proxy in front")
        return False
    expires_at = check_certificate(settings.http_cert_file, settings.http_key_file)
    if expires_at < datetime.now(UTC) + _EXPIRES_SOON:
        log.warning("certificate expires soon: renew it and restart", expires_at=f"{expires_at:%Y-%m-%d %H:%M}Z")
    return True
