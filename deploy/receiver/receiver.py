"""Writes down what is posted to it, a line of JSON each: stands in for the receivers of alerts until there are some.

`python receiver.py [PORT]`; needs nothing but Python. GET answers how many messages there were on each path.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

PORT = 9099
MOST_BYTES = 1 << 20


class Receiver(BaseHTTPRequestHandler):
    """Takes anything that is posted."""

    protocol_version = "HTTP/1.1"
    timeout = 30
    received: ClassVar[Counter[str]] = Counter()

    def do_POST(self) -> None:
        """Write it down."""
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 <= length <= MOST_BYTES:
            self.close_connection = True
            return self._answer(413, {})
        body = self.rfile.read(length)
        try:
            said = json.loads(body)
        except ValueError:
            said = body.decode(errors="replace")
        self.received[self.path] += 1
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        print(json.dumps({"at": at, "path": self.path, "body": said}), flush=True)  # noqa: T201 - what it is for
        return self._answer(200, {})

    def do_GET(self) -> None:
        """How many messages there were."""
        self._answer(200, dict(self.received))

    def _answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        """Only what is posted is told."""


if __name__ == "__main__":
    address = ("0.0.0.0", int(sys.argv[1]) if len(sys.argv) > 1 else PORT)
    with ThreadingHTTPServer(address, Receiver) as server:
        server.serve_forever()
