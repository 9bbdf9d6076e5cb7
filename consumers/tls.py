"""TLS clients: certificates from files, and explanations of failed handshakes."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from consumers.errors import UsageError

_EXPIRED, _NOT_YET, _WRONG_NAME, _WRONG_IP = 10, 9, 62, 64
_UNKNOWN_ISSUER = frozenset({18, 19, 20, 21})
"""X509_V_ERR_*: self-signed, self-signed in the chain, issuer not found locally, first issuer not found."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Paths of PEM files; empty for none."""

    ca: str = ""
    """Certificate authorities to trust; empty: those of this machine."""
    cert: str = ""
    """Client certificate with its chain."""
    key: str = ""
    """Key of the client certificate, not encrypted; empty: it is in `cert`."""


def client_ssl_context(files: TlsFiles, prefix: str) -> ssl.SSLContext:
    """A TLS context that verifies the server's certificate and host name.

    `prefix`: of the settings' names in messages, `kafka` or `redis`. Raises UsageError for an invalid file.
    """
    if files.ca:
        _readable(f"{prefix}_ca_file", files.ca)
    try:
        context = ssl.create_default_context(cafile=files.ca or None)
    except (ssl.SSLError, OSError):
        raise UsageError(
            f"{prefix}_ca_file: {files.ca} contains no certificate: it must be the authority's, in PEM"
        ) from None
    if files.cert:
        load_certificate_and_key(context, files.cert, files.key, f"{prefix}_cert_file", f"{prefix}_key_file")
    return context


def load_certificate_and_key(context: ssl.SSLContext, cert: str, key: str, cert_setting: str, key_setting: str) -> None:
    """Load the client certificate and its key. Raises UsageError for an invalid file."""
    _readable(cert_setting, cert)
    if key:
        _readable(key_setting, key)

    def no_password() -> str:
        raise UsageError(f"{key_setting}: {key or cert} is encrypted: store the key without a password, mode 0600")

    try:
        context.load_cert_chain(cert, key or None, password=no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise UsageError(
                f"{key_setting}: {key or cert} is not the key of {cert}: name the key that belongs to the certificate"
            ) from None
        raise UsageError(
            f"{cert_setting}: {cert}{f' with {key}' if key else ''} is not a certificate with its key: both must be PEM"
        ) from None


def tls_error_message(error: BaseException, files: TlsFiles, prefix: str) -> str | None:
    """The problem and the fix of a failed handshake, separated by a colon; None if the error is not about TLS.

    `files`: the files used; `prefix`: of the settings' names.
    """
    for cause in _chain(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _certificate_error(cause, prefix)
        if isinstance(cause, ssl.SSLError):
            return _handshake_error(cause, files, prefix)
    return None


def _certificate_error(error: ssl.SSLCertVerificationError, prefix: str) -> str:
    code = error.verify_code
    if code == _EXPIRED:
        return "its certificate has expired: renew it on the server"
    if code == _NOT_YET:
        return "its certificate is not valid yet: check the clocks of both machines"
    if code in (_WRONG_NAME, _WRONG_IP):
        return "its certificate is for another host name: connect by a name in it, or reissue it for this one"
    if code in _UNKNOWN_ISSUER:
        return f"its certificate is signed by an unknown authority: set {prefix}_ca_file to the authority's certificate"
    return f"its certificate was rejected ({error.verify_message}): issue a new one"


def _handshake_error(error: ssl.SSLError, files: TlsFiles, prefix: str) -> str:
    reason = error.reason or ""
    if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"):
        return "the port does not speak TLS: connect to the TLS port, or without TLS"
    if "ALERT" in reason and not files.cert:
        return f"it requires a client certificate: set {prefix}_cert_file and {prefix}_key_file"
    if "ALERT" in reason:
        return f"it rejected our certificate ({reason.lower()}): set {prefix}_cert_file to one that it trusts"
    return f"the TLS handshake failed ({reason or error}): check the server's log"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and its causes."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _readable(setting: str, path: str) -> None:
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise UsageError(f"{setting}: {path} cannot be read ({error.strerror})") from None
