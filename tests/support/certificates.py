"""A certificate authority for tests, using openssl."""

from __future__ import annotations

import ipaddress
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streams.local.embedded.ports import LOOPBACK

HERE = ("localhost", LOOPBACK)


@dataclass(frozen=True)
class CertificatePair:
    """A certificate and its key, PEM files."""

    cert: Path
    key: Path

    @property
    def both(self) -> Path:
        """One file with key and certificate, as Kafka requires."""
        path = self.cert.with_suffix(".both.pem")
        path.write_text(self.key.read_text() + self.cert.read_text())
        return path


class Authority:
    """Issues certificates. `ca` is the file that clients trust."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self.ca, self._key = folder / f"{name}.pem", folder / f"{name}.key"
        _openssl(
            *("req", "-x509", "-subj", f"/CN={name}", "-days", "30", *_new_key(self._key)),
            *("-addext", "basicConstraints=critical,CA:TRUE", "-out", self.ca),
        )

    def issue(self, name: str, *, names: Sequence[str] = HERE, days: int = 30) -> CertificatePair:
        """A certificate for servers and clients. `days` below 0: expired."""
        pair = CertificatePair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        request, extensions = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={','.join(map(_subject, names))}\n")
        _openssl("req", "-subj", f"/CN={name}", *_new_key(pair.key), "-out", request)
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._key, "-CAcreateserial"),
            *("-days", str(days), "-extfile", extensions, "-out", pair.cert),
        )
        return pair


def _new_key(path: Path) -> Sequence[str | Path]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path)


def _subject(name: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"


def _openssl(*arguments: str | Path) -> None:
    program = shutil.which("openssl")
    assert program, "these tests create certificates with openssl: install it"
    subprocess.run([program, *map(str, arguments)], check=True, capture_output=True, text=True, timeout=60)
