"""Host and Origin checks against DNS rebinding and cross-site requests. Pure.

A page of another site, open in a browser on this machine, can send requests to this server. With DNS rebinding, its own
host name resolves to 127.0.0.1, which the Host header shows. With a form, the request has our host name and the Origin
of that site.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from ipaddress import ip_address

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK_NAMES = frozenset({"localhost"})
ANY_HOST = "*"
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_OWN_SITES = frozenset({"same-origin", "none"})
"""Values of `Sec-Fetch-Site`; `none`: the user typed the address."""


class ForbiddenRequest(StrEnum):
    """Why a request is forbidden; also its error code."""

    UNKNOWN_HOST = "unknown_host"
    FOREIGN_ORIGIN = "foreign_origin"


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


def forbidden_request(
    method: str, headers: Mapping[str, str], *, known: Collection[str] | None, origins: Collection[str]
) -> ForbiddenRequest | None:
    """Why a request is forbidden; None: it is allowed.

    Args:
        headers: by lower-case name.
        known: names of this server; None: any.
        origins: allowed host:port of pages besides the Host of the request, for a server behind a proxy.
    """
    host = headers.get("host", "")  # browsers always send it; HTTP/1.0 probes need not
    if known is not None and host and not is_known_host(host, known):
        return ForbiddenRequest.UNKNOWN_HOST
    if method not in SAFE_METHODS and not _same_origin(headers, host, origins):
        return ForbiddenRequest.FOREIGN_ORIGIN
    return None


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
