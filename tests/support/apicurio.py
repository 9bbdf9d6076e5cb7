"""Apicurio Registry, a real schema registry, from its published archive; in memory.

Requires Java 17 or newer, and Maven once: it downloads the archive into `.cache/apicurio/VERSION/` in the repository.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote
from urllib.request import Request, urlopen

from streams.local.embedded.ports import free_port
from streams.local.stack.plan import temporary_data_dir
from tests.support.kafka import KafkaUnavailableError, java
from tests.support.servers import Server, http_ready, running

VERSION = "2.6.13.Final"
"""The newest that runs on Java 17."""
CACHE = Path(__file__).parents[2] / ".cache" / "apicurio"


def apicurio_folder(version: str = VERSION) -> Path:
    """The folder of the program, downloaded by Maven if necessary. Raises KafkaUnavailableError without Maven."""
    folder = CACHE / version
    if folder.is_dir():
        return folder
    if not shutil.which("mvn"):
        raise KafkaUnavailableError(f"Apicurio {version} is not in {CACHE} and there is no mvn to fetch it")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=".getting-") as scratch:
        artifact = f"io.apicurio:apicurio-registry-app:{version}:tar.gz:all"
        copy = [
            *("mvn", "-B", "-q", "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"),
            *(f"-Dartifact={artifact}", f"-DoutputDirectory={scratch}"),
        ]
        done = subprocess.run(copy, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False)
        archives = list(Path(scratch).glob("*.tar.gz"))
        if done.returncode or not archives:
            raise KafkaUnavailableError(f"Maven cannot download Apicurio:\n{(done.stdout + done.stderr)[-2000:]}")
        unpacked = Path(scratch, "unpacked")
        with tarfile.open(archives[0]) as archive:
            archive.extractall(unpacked, filter="data")
        # Atomic. If another process was faster, its copy is used.
        with contextlib.suppress(OSError):
            unpacked.rename(folder)
    return folder


class Apicurio:
    """A running registry, by the interface that it shares with Confluent's."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @property
    def url(self) -> str:
        return f"http://{self._server.address}/apis/ccompat/v7"

    def register(self, subject: str, kind: str, text: str, references: Sequence[tuple[str, str]] = ()) -> int:
        """Add a version of a subject; `references`: (name, subject), always version 1. Returns its id."""
        listed = [{"name": name, "subject": referred, "version": 1} for name, referred in references]
        body = json.dumps({"schema": text, "schemaType": kind, "references": listed}).encode()
        headers = {"Content-Type": "application/json"}
        path = f"{self.url}/subjects/{quote(subject, safe='')}/versions"
        with urlopen(Request(path, body, headers), timeout=30) as answer:
            return int(json.load(answer)["id"])

    def start(self) -> None:
        """Answer again."""
        self._server.resume()

    def stop(self) -> None:
        """Give no answers; connections stay open."""
        self._server.pause()


@contextlib.contextmanager
def apicurio() -> Iterator[Apicurio]:
    """An empty registry."""
    port, folder = free_port(), apicurio_folder()
    argv = [java(), "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dquarkus.http.port={port}",
            "-Dquarkus.http.host=127.0.0.1", "-jar", str(next(folder.glob("*-runner.jar")))]  # fmt: skip
    with temporary_data_dir() as data:
        ready = http_ready("127.0.0.1", port, "/apis/ccompat/v7/schemas/types")
        with running(Server("apicurio", argv, port, ready, data, ready_within_s=120)) as server:
            yield Apicurio(server)
