"""A placeholder receiver of alerts: logs each POST as a line of JSON.

`python receiver.py [PORT]`; needs only Python. GET returns the number of messages per path.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

PORT = 9099
MAX_BYTES = 1 << 20


class MessageLogger(BaseHTTPRequestHandler):
    """Accepts any POST."""

    protocol_version = "HTTP/1.1"
    timeout = 30
    received: ClassVar[Counter[str]] = Counter()

    def do_POST(self) -> None:
        """Log the body."""
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 <= length <= MAX_BYTES:
            self.close_connection = True
            return self._answer(413, {})
        body = self.rfile.read(length)
        try:
            content = json.loads(body)
        except ValueError:
            content = body.decode(errors="replace")
        self.received[self.path] += 1
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        print(json.dumps({"at": at, "path": self.path, "body": content}), flush=True)  # noqa: T201 - its purpose
        return self._answer(200, {})

    def do_GET(self) -> None:
        """Return the number of messages per path."""
        self._answer(200, dict(self.received))

    def _answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        """Do not log requests: only their bodies are logged."""


if __name__ == "__main__":
    address = ("0.0.0.0", int(sys.argv[1]) if len(sys.argv) > 1 else PORT)
    with ThreadingHTTPServer(address, MessageLogger) as server:
        server.serve_forever()
