"""Checks before an HTTP server starts: its certificate, and that a reachable server requires tokens."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path

from consumers.errors import SalepulseError, UsageError
from consumers.tls import load_certificate_and_key
from streams.clock import now_ms
from streams.settings import Settings
from streams.tokens.file import read_tokens
from streams.tokens.token import unexpired


def check_certificate(cert: str, key: str) -> datetime:
    """Check a certificate by a handshake in memory, and return when it expires.

    Args:
        cert: PEM, with intermediate certificates.
        key: PEM; empty: in the same file.

    Raises:
        UsageError: a file is invalid, or the certificate is expired, not valid yet, or not for servers.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_certificate_and_key(server, cert, key, "http_cert_file", "http_key_file")
    received: dict[str, object] = {}
    try:
        received = _shake_hands(server, client_context(Path(cert)))
    except ssl.SSLCertVerificationError as error:
        raise UsageError(f"http_cert_file: invalid certificate {cert} ({error.verify_message}): renew it") from None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(received["notAfter"])), UTC)


def client_context(cert: Path) -> ssl.SSLContext:
    """A client context that trusts exactly this certificate, for any host name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cert)
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    return context


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> dict[str, object]:
    """The certificate as a client gets it. Raises SSLCertVerificationError if the client rejects it."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_side = client.wrap_bio(to_client, to_server)
    server_side = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (client_side, server_side, client_side):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return dict(client_side.getpeercert() or {})


def check_exposure(settings: Settings, setting: str = "http_host") -> None:
    """Refuse to serve other machines without tokens.

    Args:
        settings: with the file of tokens.
        setting: the name of the setting that has the host.

    Raises:
        SalepulseError: the server would be exposed, or its tokens file is invalid.
    """
    tokens = unexpired(read_tokens(Path(settings.tokens_file)), now_ms()) if settings.tokens_file else []
    host: str = getattr(settings, setting)
    if tokens or is_loopback(host, setting):
        return
    if settings.tokens_file:
        raise UsageError(
            f"tokens_file: {settings.tokens_file} has no valid token: create one with `salepulse tokens create`"
        )
    raise UsageError(
        f"{host or 'every address'} is reachable from other machines, and there are no tokens: create "
        "one with `salepulse tokens create NAME --file FILE` and set tokens_file, or set "
        f"{setting}=127.0.0.1"
    )


def is_loopback(host: str, setting: str = "http_host") -> bool:
    """Whether only this machine can reach a server at this host. Raises SalepulseError for an unknown name."""
    if not host:
        return False
    try:
        addresses = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        flag = f"--{setting.replace('_', '-')}"
        raise SalepulseError(f"cannot serve at {host} ({error}); choose another {flag}") from error
    return all(ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in addresses)
