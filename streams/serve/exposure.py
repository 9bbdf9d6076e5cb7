"""Checks that a server which others can reach requires tokens."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

from consumers.errors import SalepulseError, UsageError
from streams.clock import now_ms
from streams.settings import Settings
from streams.tokens.file import read_tokens
from streams.tokens.token import unexpired


def check_exposure(settings: Settings) -> None:
    """Refuse to serve other machines without tokens.

    Raises:
        SalepulseError: the server would be exposed, or its tokens file is invalid.
    """
    tokens = unexpired(read_tokens(Path(settings.tokens_file)), now_ms()) if settings.tokens_file else []
    if tokens or is_loopback(settings.http_host):
        return
    if settings.tokens_file:
        raise UsageError(
            f"tokens_file: {settings.tokens_file} has no valid token: create one with `salepulse tokens create`"
        )
    raise UsageError(
        f"{settings.http_host or 'every address'} is reachable from other machines, and there are no tokens: create "
        "one with "
        "`salepulse tokens create NAME --file FILE` and set tokens_file, or set http_host=127.0.0.1"
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server at this host. Raises SalepulseError for an unknown name."""
    if not host:
        return False
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise SalepulseError(f"cannot serve at {host} ({error}); choose another --http-host") from error
    return all(ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)
