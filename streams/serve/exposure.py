"""Who may reach a server: everybody on this machine, and over the network whoever has a token."""

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
    """Refuse to serve others than this machine without tokens.

    Raises:
        SalepulseError: what to do about it; also where a file of tokens is named and cannot be used.
    """
    tokens = unexpired(read_tokens(Path(settings.tokens_file)), now_ms()) if settings.tokens_file else []
    if tokens or is_loopback(settings.http_host):
        return
    if settings.tokens_file:
        raise UsageError(
            f"tokens_file: {settings.tokens_file} holds no token that is valid: make one with `salepulse tokens create`"
        )
    raise UsageError(
        f"{settings.http_host or 'every address'} can be reached by others, and there are no tokens: make one with "
        "`salepulse tokens create NAME --file FILE` and set tokens_file, or serve at 127.0.0.1"
    )


def is_loopback(host: str) -> bool:
    """Whether a server that binds there is reached by this machine only. Raises SalepulseError for an unknown name."""
    if not host:
        return False
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise SalepulseError(f"cannot serve at {host} ({error}); choose another --http-host") from error
    return all(ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)
