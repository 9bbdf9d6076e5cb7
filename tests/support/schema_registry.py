"""A schema registry for tests: a small HTTP server that speaks the part of Confluent's REST interface that readers use.

It replaces a real one in tests, runs in a thread of the test, and may be taken away and brought back on its port.

    with SchemaRegistry() as registry:
        schema_id = registry.register("orders-value", "AVRO", text)
        message = framed(schema_id, payload)
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote

from streams.local.embedded.ports import LOOPBACK


class Registry(Protocol):
    """A schema registry for tests."""

    @property
    def url(self) -> str:
        """Where its REST interface is."""

    def register(self, subject: str, kind: str, text: str, references: Sequence[tuple[str, str]] = ()) -> int:
        """Add a version of a subject; `references`: (name, subject), always version 1. Returns its id."""

    def start(self) -> None:
        """Answer again."""

    def stop(self) -> None:
        """Give no answers."""


class StoredSchema(NamedTuple):
    """A version of a subject."""

    schema_id: int
    kind: str
    text: str
    references: Sequence[dict[str, Any]]


def framed(schema_id: int, payload: bytes, indexes: bytes = b"") -> bytes:
    """A message as serializers of a registry write it; `indexes` for Protobuf."""
    return b"\0" + schema_id.to_bytes(4, "big") + indexes + payload


class SchemaRegistry:
    """The server; `requests` are the paths asked for, in order."""

    def __init__(
        self, *, user: str = "", password: str = "", certificate: Path | None = None, first_id: int = 100
    ) -> None:
        """`certificate`: a file with key and certificate, for TLS."""
        self.requests: list[str] = []
        self._user, self._password, self._certificate = user, password, certificate
        self._subjects: dict[str, list[StoredSchema]] = {}
        self._next_id = first_id
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"{'https' if self._certificate else 'http'}://{LOOPBACK}:{self._port}"

    def __enter__(self) -> SchemaRegistry:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def register(self, subject: str, kind: str, text: str, references: Sequence[tuple[str, str]] = ()) -> int:
        """Add a version of a subject; `references`: (name, subject), always version 1. Returns its id."""
        schema_id, self._next_id = self._next_id, self._next_id + 1
        listed = [{"name": name, "subject": referred, "version": 1} for name, referred in references]
        self._subjects.setdefault(subject, []).append(StoredSchema(schema_id, kind, text, listed))
        return schema_id

    def start(self) -> None:
        """Listen, on the same port as before."""
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.requests.append(self.path)
                status, answer = registry._answer(self.path, self.headers.get("Authorization", ""))
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer((LOOPBACK, self._port), Handler)
        self._port = self._server.server_port
        if self._certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _answer(self, path: str, authorization: str) -> tuple[int, Any]:
        if self._user:
            expected = base64.b64encode(f"{self._user}:{self._password}".encode()).decode()
            if authorization != f"Basic {expected}":
                return 401, {"error_code": 401, "message": "Unauthorized"}
        match path.strip("/").split("/"):
            case ["schemas", "types"]:
                return 200, ["JSON", "PROTOBUF", "AVRO"]
            case ["schemas", "ids", schema_id]:
                for versions in self._subjects.values():
                    for stored in versions:
                        if stored.schema_id == int(schema_id):
                            return 200, _described(stored)
                return 404, {"error_code": 40403, "message": "Schema not found"}
            case ["subjects", subject, "versions", version]:
                versions = self._subjects.get(unquote(subject), [])
                if not versions:
                    return 404, {"error_code": 40401, "message": "Subject not found"}
                if int(version) > len(versions):
                    return 404, {"error_code": 40402, "message": "Version not found"}
                stored = versions[int(version) - 1]
                return 200, {"subject": unquote(subject), "version": int(version), "id": stored.schema_id,
                             **_described(stored)}  # fmt: skip
        return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}


def _described(stored: StoredSchema) -> dict[str, Any]:
    kind = {} if stored.kind == "AVRO" else {"schemaType": stored.kind}
    references = {"references": list(stored.references)} if stored.references else {}
    return {"schema": stored.text, **kind, **references}
