"""`/metrics` of a worker or alerts process, served by threads: it answers while the event loop hangs."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import structlog
from prometheus_client import CollectorRegistry, disable_created_metrics, make_wsgi_app

from consumers.errors import UsageError
from consumers.tls import load_certificate_and_key
from streams.clock import now_ms
from streams.process.startup_checks import check_exposure
from streams.settings import Settings
from streams.tokens.file import TokenStore
from streams.tokens.token import secret_of_header

log = structlog.get_logger()

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_IDLE_S = 10.0
"""A connection that sends or receives nothing for this long is closed."""
_MOST_THREADS = 64
"""New connections are closed while the process has this many threads."""


@contextlib.contextmanager
def metrics_server(settings: Settings, registry: CollectorRegistry, default_port: int) -> Iterator[None]:
    """Serve a registry at the settings' host and port while in the block; nothing if the port is 0.

    Raises:
        SalepulseError: the address is in use, not on this machine, or reachable from others without tokens.
    """
    port = default_port if settings.metrics_port is None else settings.metrics_port
    if not port:
        yield
        return
    check_exposure(settings, "metrics_host")
    disable_created_metrics()  # type: ignore[no-untyped-call]
    with _bind(settings, port) as server:
        server.set_app(_with_tokens(make_wsgi_app(registry), settings))
        thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


class _ScrapeHandler(WSGIRequestHandler):
    """Closes idle connections and does not log."""

    timeout = _IDLE_S

    def log_message(self, *_: Any) -> None:
        """Requests are not logged."""


class _MetricsServer(ThreadingMixIn, WSGIServer):
    """One thread per connection."""

    daemon_threads = True

    def __init__(self, family: socket.AddressFamily, address: Any, tls: ssl.SSLContext | None) -> None:
        self.address_family = family
        super().__init__(address, _ScrapeHandler)
        if tls is not None:
            # The handshake is in the thread of the connection, so that it delays no other.
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def server_bind(self) -> None:
        """Bind without the reverse look-up of HTTPServer, which takes seconds where DNS fails."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether there are threads for another connection."""
        return threading.active_count() < _MOST_THREADS

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect or do not speak TLS."""


def _bind(settings: Settings, port: int) -> _MetricsServer:
    host, tls = settings.metrics_host, None
    if settings.http_cert_file:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        load_certificate_and_key(
            tls, settings.http_cert_file, settings.http_key_file, "http_cert_file", "http_key_file"
        )
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = addresses[0]
        server = _MetricsServer(family, address, tls)
    except OSError as error:
        fix = (
            "choose another --metrics-host"
            if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
            else "stop the process that uses it, or choose another --metrics-port (metrics_port; 0: no /metrics)"
        )
        raise UsageError(f"cannot serve /metrics at {host}:{port} ({error.strerror}): {fix}") from error
    log.info("serving metrics", url=metrics_url(settings, port))
    return server


def metrics_url(settings: Settings, port: int) -> str:
    """The URL of /metrics at a port."""
    host, scheme = settings.metrics_host, "https" if settings.http_cert_file else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/metrics"


def _with_tokens(app: WsgiApp, settings: Settings) -> WsgiApp:
    """Require a token if the settings have a file of tokens."""
    if not settings.tokens_file:
        return app
    tokens = TokenStore(Path(settings.tokens_file))

    def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        secret = secret_of_header(environ.get("HTTP_AUTHORIZATION", ""))
        token = None if secret is None else tokens.find(secret)
        if token is not None and not token.expired(now_ms()):
            return app(environ, start_response)
        start_response("401 Unauthorized", [("WWW-Authenticate", 'Bearer realm="salepulse"')])
        return [b"this needs a valid token: send the header `Authorization: Bearer TOKEN`\n"]

    return guarded
