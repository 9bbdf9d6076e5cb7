"""`salepulse up` passes secrets in a file: none is in an environment or on a command line."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from streams.local.embedded.ports import free_port
from streams.local.stack.secrets import FILE_NAME
from tests.support.salepulse import Running, Up, salepulse, started
from tests.support.wait import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

REDIS_PASSWORD, HEARTBEAT, CHAT, IN_FILE = "pw-of-redis-1", "token-of-watcher-2", "token-of-chat-3", "pw-of-file-4"
SECRETS = (REDIS_PASSWORD, HEARTBEAT, CHAT, IN_FILE)


@contextmanager
def watcher() -> Iterator[tuple[str, set[str]]]:
    """Address of a server that accepts every request, and the requested paths."""
    asked: set[str] = set()

    class Take(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.add(self.path)
            self.send_response(200)
            self.end_headers()

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """No output."""

    with HTTPServer(("127.0.0.1", 0), Take) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()


def exposed(pids: list[int]) -> dict[int, set[str]]:
    """<pid: secrets readable from the process by others>"""
    found = {}
    for pid in pids:
        shown = b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("environ", "cmdline"))
        found[pid] = {secret for secret in SECRETS if secret.encode() in shown}
    return found


def started_by(up: Running) -> list[int]:
    """Processes after exec; before, each is a copy of its parent."""
    own = Path(f"/proc/{up.process.pid}/cmdline").read_bytes()
    return [pid for pid in up.family() if Path(f"/proc/{pid}/cmdline").read_bytes() != own]


@pytest.mark.slow
def test_secrets_reach_every_process_but_no_environment(tmp_path: Path, redis_url: str) -> None:
    with watcher() as (url, asked):
        (tmp_path / "receivers.yaml").write_text(
            json.dumps(
                {
                    "receivers": [{"name": "chat", "type": "slack", "url": "env:CHAT_URL"}],
                    "allow_networks": ["127.0.0.1"],
                }
            )
        )
        (tmp_path / "salepulse.toml").write_text(f'redis_read_user = "default"\nredis_read_password = "{IN_FILE}"\n')
        given = {
            "SALEPULSE_REDIS_PASSWORD": REDIS_PASSWORD,  # the default user of this Redis takes any
            "SALEPULSE_REDIS_URL": redis_url,
            "salepulse_alerts_heartbeat_url": f"{url}/{HEARTBEAT}",
            "SALEPULSE_ALERTS_HEARTBEAT_S": "1",
            "SALEPULSE_ALERTS_RECEIVERS": str(tmp_path / "receivers.yaml"),
            "CHAT_URL": f"{url}/{CHAT}",
        }
        data, port = tmp_path / "data", free_port()
        up = Running("up", "--kafka-port", str(port), "--http-port", "0", "--data-dir", data, cwd=tmp_path, env=given)
        with started(up):
            up.until("ready http")
            eventually(lambda: len(started_by(up)) == 4, within_s=30, what="a broker, a worker, the API and alerts")
            family = up.family()
            assert exposed([up.process.pid])[up.process.pid] >= {REDIS_PASSWORD, HEARTBEAT, CHAT}, "what is looked for"
            assert not any(exposed(family).values())
            file = data / FILE_NAME
            assert file.stat().st_mode & 0o777 == 0o600
            flags = ("--bootstrap", f"127.0.0.1:{port}", "--rate", "50", "--duration", "2")
            assert salepulse("simulate", *flags, cwd=tmp_path).returncode == 0
            eventually(lambda: f"/{HEARTBEAT}" in asked, within_s=90, what="the heartbeat is received")
            for name in ("worker-1", "serve", "alerts"):
                log = (data / "logs" / f"{name}.log").read_text()
                assert not [secret for secret in SECRETS if secret in log]
        assert not file.exists()


def test_the_secrets_file_of_a_killed_up_is_deleted_by_the_next(tmp_path: Path) -> None:
    data = tmp_path / "data"
    killed = Up("--data-dir", data, cwd=tmp_path)
    killed.until("serve is running")
    killed.stop(signal.SIGKILL)
    assert (data / FILE_NAME).exists()
    with started(Up("--data-dir", data, cwd=tmp_path)) as up:
        up.until("serve is running")
    assert not (data / FILE_NAME).exists()
