"""Rejects requests of pages of other sites, by their Host and Origin.

A page of another site, open in a browser on this machine, can send requests to this server. With DNS rebinding, its own
host name resolves to 127.0.0.1, which the Host header shows. With a form, the request has our host name and the Origin
of that site.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from streams.serve.encoding import error_response
from streams.settings import Settings
from streams.tokens.token import OPEN_PATHS

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
LOOPBACK_NAMES = frozenset({"localhost"})
ANY_HOST = "*"
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_OWN_SITES = frozenset({"same-origin", "none"})
"""Values of `Sec-Fetch-Site`; `none`: the user typed the address."""


def split_host(text: str) -> tuple[str, str]:
    """Name and port (may be empty) of a Host header; the name in lower case, IPv6 without brackets.

    >>> split_host("LocalHost:8080"), split_host("[::1]:8080"), split_host("serve.")
    (('localhost', '8080'), ('::1', '8080'), ('serve', ''))
    """
    text = text.strip().lower()
    if text.startswith("["):
        name, _, rest = text[1:].partition("]")
        return name, rest.removeprefix(":")
    name, _, port = text.partition(":")
    return name.removesuffix("."), port


def names_in(setting: str) -> frozenset[str]:
    """The names in a setting with a comma-separated list of hosts, as `split_host` returns them.

    >>> sorted(names_in("Serve:8080, *,"))
    ['*', 'serve']
    """
    return frozenset(split_host(host)[0] for host in setting.split(",") if host.strip())


def is_known_host(host: str, known: Collection[str]) -> bool:
    """Whether a Host header is a loopback address, `localhost`, or one of `known`, with any port.

    `known`: names as `split_host` returns them; `*` matches all.
    """
    name, _ = split_host(host)
    if ANY_HOST in known or name in known or name in LOOPBACK_NAMES or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _same_origin(headers: Mapping[str, str], host: str, origins: Collection[str]) -> bool:
    """Whether the request is from a page of this server, or from a script, which sends neither header. The scheme is
    not compared: a proxy may terminate TLS."""
    if headers.get("sec-fetch-site", "none") not in _OWN_SITES:
        return False
    origin = headers.get("origin")
    if origin is None:
        return True
    scheme, separator, netloc = origin.partition("://")
    if not separator or scheme not in _DEFAULT_PORTS:
        return False  # for example `null`, of sandboxed frames and files
    return authority(netloc, scheme) in {authority(host, scheme), *origins}


def authority(netloc: str, scheme: str) -> str:
    """host:port, with the default port of the scheme.

    >>> authority("Pulse.example.com", "https"), authority("[::1]:8080", "http")
    ('pulse.example.com:443', '::1:8080')
    """
    name, port = split_host(netloc)
    return f"{name}:{port or _DEFAULT_PORTS[scheme]}"


class SameOrigin:
    """ASGI middleware; runs before tokens are checked, and also without tokens."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._known = known_hosts(settings)
        self._origins = _public_origins(settings)
        """host:port of pages besides the Host of the request, for a server behind a proxy."""
        self._probes_by_any_name = bool(settings.tokens_file)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403, 415 or 421."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (self._app if refusal is None else refusal)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers, method, known = Headers(scope=scope), scope["method"], self._known
        if self._probes_by_any_name and method in ("GET", "HEAD") and scope["path"] in OPEN_PATHS:
            known = None
        host = headers.get("host", "")  # browsers always send it; HTTP/1.0 probes need not
        if known is not None and host and not is_known_host(host, known):
            return error_response(
                421,
                "unknown_host",
                f"unknown host {split_host(host)[0]!r}: use localhost or 127.0.0.1, or add the name to the setting "
                "http_allowed_hosts",
            )
        if method not in SAFE_METHODS and not _same_origin(headers, host, self._origins):
            return error_response(
                403,
                "foreign_origin",
                "pages of other sites cannot change anything: use the page of this server, or a client that sends no "
                "Origin; behind a proxy, set public_url to the public address",
            )
        if method in _BODY_METHODS and _has_body(headers) and not is_json(headers.get("content-type", "")):
            message = "the body must be JSON: send the header `Content-Type: application/json`"
            return error_response(415, "not_json", message)
        return None


def _has_body(headers: Headers) -> bool:
    return "content-type" in headers or "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def is_json(content_type: str) -> bool:
    """Whether a content type is JSON. A form of another site cannot send that."""
    return content_type.partition(";")[0].strip().lower() == "application/json"


def known_hosts(settings: Settings) -> Collection[str] | None:
    """Names of this server besides loopback; None: any.

    With tokens any name is allowed unless names are set: browsers send a token only to the name that it was entered
    for. Without tokens every client on loopback has full access, which includes pages in a browser.
    """
    allowed = names_in(settings.http_allowed_hosts)
    if settings.tokens_file and not allowed:
        return None
    names = {split_host(settings.http_host)[0] if ":" not in settings.http_host else settings.http_host.lower()}
    if settings.public_url:
        names.add((urlsplit(settings.public_url).hostname or "").lower())
    return frozenset((names | allowed) - {"", "0.0.0.0", "::"})


def _public_origins(settings: Settings) -> Collection[str]:
    if not settings.public_url:
        return frozenset()
    parts = urlsplit(settings.public_url)
    return frozenset({authority(parts.netloc.rpartition("@")[2], parts.scheme)})
