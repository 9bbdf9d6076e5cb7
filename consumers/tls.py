"""TLS as a client: certificates from files, and what went wrong in a handshake, in words."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from consumers.errors import UsageError

_EXPIRED, _NOT_YET, _WRONG_NAME, _WRONG_IP = 10, 9, 62, 64
_UNKNOWN_ISSUER = frozenset({18, 19, 20, 21})
"""X509_V_ERR_*: self-signed, self-signed in the chain, no issuer here, no issuer of the first one."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Whom to trust, and who we are; PEM files, empty where there is none."""

    ca: str = ""
    """Of authorities; empty: those that this machine trusts."""
    cert: str = ""
    """Our own certificate, for a server that asks for one, with its chain."""
    key: str = ""
    """Of our own certificate, not encrypted; empty: it is in the same file."""


def client_ssl_context(files: TlsFiles, prefix: str) -> ssl.SSLContext:
    """What to connect with: the server's certificate and its name are always checked.

    Args:
        prefix: of the settings' names, for messages: `kafka`, `redis`.

    Raises:
        UsageError: which file is wrong, and how.
    """
    if files.ca:
        _readable(f"{prefix}_ca_file", files.ca)
    try:
        context = ssl.create_default_context(cafile=files.ca or None)
    except (ssl.SSLError, OSError):
        raise UsageError(
            f"{prefix}_ca_file: {files.ca} holds no certificate: it is to be PEM, of the authority"
        ) from None
    if files.cert:
        load_certificate_and_key(context, files.cert, files.key, f"{prefix}_cert_file", f"{prefix}_key_file")
    return context


def load_certificate_and_key(context: ssl.SSLContext, cert: str, key: str, cert_setting: str, key_setting: str) -> None:
    """Load our own certificate and its key. Raises UsageError: which file is wrong, and how."""
    _readable(cert_setting, cert)
    if key:
        _readable(key_setting, key)

    def no_password() -> str:
        raise UsageError(f"{key_setting}: {key or cert} is encrypted: give the key without a password, mode 0600")

    try:
        context.load_cert_chain(cert, key or None, password=no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise UsageError(
                f"{key_setting}: {key or cert} is not the key of {cert}: give the two that were made together"
            ) from None
        raise UsageError(
            f"{cert_setting}: {cert}{f' with {key}' if key else ''} is no certificate with its key: both are to be PEM"
        ) from None


def tls_error_message(error: BaseException, files: TlsFiles, prefix: str) -> str | None:
    """What went wrong in a handshake and what to do, with a colon between; None: TLS has no part in it.

    Args:
        files: that were used.
        prefix: of the settings' names.
    """
    for one in _chain(error):
        if isinstance(one, ssl.SSLCertVerificationError):
            return _refused(one, prefix)
        if isinstance(one, ssl.SSLError):
            return _failed(one, files, prefix)
    return None


def _refused(error: ssl.SSLCertVerificationError, prefix: str) -> str:
    code = error.verify_code
    if code == _EXPIRED:
        return "its certificate has expired: renew it there"
    if code == _NOT_YET:
        return "its certificate is not valid yet: see whether the clocks of both machines are right"
    if code in (_WRONG_NAME, _WRONG_IP):
        return "its certificate is for another name: connect by a name that is in it, or have it made for this one"
    if code in _UNKNOWN_ISSUER:
        return (
            f"its certificate is from nobody that is trusted here: name the file of its authority in {prefix}_ca_file"
        )
    return f"its certificate is refused ({error.verify_message}): have it made anew"


def _failed(error: ssl.SSLError, files: TlsFiles, prefix: str) -> str:
    reason = error.reason or ""
    if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"):
        return "it does not speak TLS there: connect to its TLS port, or without TLS"
    if "ALERT" in reason and not files.cert:
        return f"it asks for a certificate of ours: name it in {prefix}_cert_file, and its key in {prefix}_key_file"
    if "ALERT" in reason:
        return f"it refuses our certificate ({reason.lower()}): have {prefix}_cert_file issued by one that it trusts"
    return f"the TLS handshake failed ({reason or error}): see the server's log"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and what it came from."""
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
