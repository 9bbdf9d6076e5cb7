"""Which requests of browsers are ours: those to a host that we are known by, and what writes only from our own pages.

Pure. Against pages of other sites that are open in a browser beside this server. By DNS rebinding such a page has its
own name resolve to 127.0.0.1, so the Host of its requests is that name. A form of such a page reaches us under our own
name, and its Origin is another one.
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
"""Of `Sec-Fetch-Site`: `none` is a person who typed the address."""


class ForbiddenRequest(StrEnum):
    """Why a request is not answered, as its error code."""

    UNKNOWN_HOST = "unknown_host"
    FOREIGN_ORIGIN = "foreign_origin"


def split_host(text: str) -> tuple[str, str]:
    """Name and port (may be empty) of a Host header, the name in lower case, IPv6 without brackets.

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
    """The names in a setting that lists hosts, separated by commas, as `split_host` gives them.

    >>> sorted(names_in("Serve:8080, *,"))
    ['*', 'serve']
    """
    return frozenset(split_host(host)[0] for host in setting.split(",") if host.strip())


def is_known_host(host: str, known: Collection[str]) -> bool:
    """Whether a Host header names this server: by a loopback address, `localhost`, or one of `known` (any port).

    `known`: names as `split_host` gives them; `*` knows every one.
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
    """Why a request is refused; None: it is not.

    Args:
        headers: by lower-case name.
        known: names of this server; None: every Host will do.
        origins: host:port that pages of ours are served at beside the Host of the request, as behind a proxy.
    """
    host = headers.get("host", "")  # a browser always sends it; a prober may speak HTTP/1.0
    if known is not None and host and not is_known_host(host, known):
        return ForbiddenRequest.UNKNOWN_HOST
    if method not in SAFE_METHODS and not _same_origin(headers, host, origins):
        return ForbiddenRequest.FOREIGN_ORIGIN
    return None


def _same_origin(headers: Mapping[str, str], host: str, origins: Collection[str]) -> bool:
    """Scripts send neither header, browsers at least one. TLS may end before us, so the scheme does not count."""
    if headers.get("sec-fetch-site", "none") not in _OWN_SITES:
        return False
    origin = headers.get("origin")
    if origin is None:
        return True
    scheme, separator, netloc = origin.partition("://")
    if not separator or scheme not in _DEFAULT_PORTS:
        return False  # also `null`: a sandboxed frame, a file
    return authority(netloc, scheme) in {authority(host, scheme), *origins}


def authority(netloc: str, scheme: str) -> str:
    """host:port with the port that the scheme implies.

    >>> authority("Pulse.example.com", "https"), authority("[::1]:8080", "http")
    ('pulse.example.com:443', '::1:8080')
    """
    name, port = split_host(netloc)
    return f"{name}:{port or _DEFAULT_PORTS[scheme]}"
