"""Checks the certificate of the HTTP server at start."""

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
    """A valid server certificate."""

    expires_ms: int
    """Epoch ms."""


def check_certificate(cert: str, key: str) -> Certificate:
    """Check a certificate by a handshake in memory.

    Args:
        cert: PEM, with intermediate certificates.
        key: PEM; empty: in the same file.

    Raises:
        UsageError: a file is invalid, or the certificate is expired, not valid yet, or not for servers.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_certificate_and_key(server, cert, key, *_NAMES)
    received: dict[str, object] = {}
    try:
        received = _shake_hands(server, client_context(Path(cert)))
    except ssl.SSLCertVerificationError as error:
        raise UsageError(f"http_cert_file: invalid certificate {cert} ({error.verify_message}): renew it") from None
    return Certificate(int(ssl.cert_time_to_seconds(str(received["notAfter"]))) * 1000)


def expiry(certificate: Certificate) -> datetime:
    """When the certificate expires."""
    return datetime.fromtimestamp(certificate.expires_ms / 1000, UTC)


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
    asking = client.wrap_bio(to_client, to_server)
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    for one in (asking, answering, asking):
        try:
            one.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return dict(asking.getpeercert() or {})
