"""The certificate of the HTTP server, looked at before anybody is served with it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from consumers.errors import UsageError
from consumers.tls import load_certificate_and_key

_NAMES = ("http_cert_file", "http_key_file")


@dataclass(frozen=True, slots=True)
class Certificate:
    """One that can be served with."""

    expires_ms: int
    """Epoch ms."""


def check_certificate(cert: str, key: str) -> Certificate:
    """Look at a certificate by a handshake with ourselves.

    Args:
        cert: PEM, with the authorities between it and the one that clients trust.
        key: PEM; empty: it is in the same file.

    Raises:
        UsageError: a file is wrong, it has expired or is not valid yet, or is not made for servers.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_certificate_and_key(server, cert, key, *_NAMES)
    told: dict[str, object] = {}
    try:
        told = _shake_hands(server, client_context(Path(cert)))
    except ssl.SSLCertVerificationError as error:
        raise UsageError(f"http_cert_file: {cert} cannot be served with ({error.verify_message}): renew it") from None
    return Certificate(int(ssl.cert_time_to_seconds(str(told["notAfter"]))) * 1000)


def expiry(certificate: Certificate) -> datetime:
    """When it expires."""
    return datetime.fromtimestamp(certificate.expires_ms / 1000, UTC)


def client_context(cert: Path) -> ssl.SSLContext:
    """For a client that knows exactly this certificate, whatever name it is for: our own server's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cert)
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    return context


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> dict[str, object]:
    """What a client is told of the certificate. Raises SSLCertVerificationError where it would not take it."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server)
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    for one in (asking, answering, asking):
        try:
            one.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return dict(asking.getpeercert() or {})
