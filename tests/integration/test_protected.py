"""`salepulse up` on a Kafka with TLS and SCRAM and a Redis with TLS and users: exact, and without visible secrets."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from streams.local.embedded.ports import free_port
from tests.streams.tokens.making import token, write
from tests.support.answers import HttpApi
from tests.support.event_sets import EventSets
from tests.support.expected import Expected, check, recorded_totals
from tests.support.salepulse import Running, failure, salepulse, started
from tests.support.secure_kafka import PASSWORD, USER, SecureKafka
from tests.support.secure_redis import READ_PASSWORD, READER, WRITE_PASSWORD, WRITER, SecureRedis, secure_redis
from tests.support.wait import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

SECRETS = (PASSWORD, WRITE_PASSWORD, READ_PASSWORD, "sp_dashboard")


@dataclass(frozen=True)
class Place:
    """Servers that require authentication, and settings with valid credentials."""

    redis: SecureRedis
    folder: Path
    env: Mapping[str, str]

    @property
    def url(self) -> str:
        return f"https://localhost:{self.env['SALEPULSE_HTTP_PORT']}"

    def api(self) -> HttpApi:
        """The API with a token and the authority's certificate."""
        trust = ssl.create_default_context(cafile=self.env["SALEPULSE_KAFKA_CA_FILE"])
        return HttpApi(self.url, verify=trust, headers={"authorization": "Bearer sp_dashboard"})


@pytest.fixture
def place(protected_kafka: SecureKafka, tmp_path: Path) -> Iterator[Place]:
    """Everything protected, and every secret in a file."""
    authority, certificates = protected_kafka.authority, tmp_path / "certificates"
    certificates.mkdir()
    pair = authority.issue("here")
    settings = {
        "bootstrap": protected_kafka.scram.bootstrap,
        "kafka_tls": "true",
        "kafka_ca_file": authority.ca,
        "kafka_sasl": "SCRAM-SHA-512",
        "kafka_user": USER,
        "kafka_password_file": _secret(tmp_path, "kafka", PASSWORD),
        "redis_ca_file": authority.ca,
        "redis_user": WRITER,
        "redis_password_file": _secret(tmp_path, "redis", WRITE_PASSWORD),
        "redis_read_user": READER,
        "redis_read_password_file": _secret(tmp_path, "redis-read", READ_PASSWORD),
        "http_host": "0.0.0.0",
        "http_port": free_port(),
        "http_cert_file": pair.cert,
        "http_key_file": pair.key,
        "tokens_file": write(tmp_path / "tokens.json", token("dashboard")),
        "clock": "event",
        "retain": "all",
        "partitions": 4,
    }
    with secure_redis(tmp_path, authority, pair) as server:
        settings["redis_url"] = server.url
        yield Place(server, tmp_path, {f"SALEPULSE_{name.upper()}": str(given) for name, given in settings.items()})


def test_a_recorded_shop_is_counted_exactly(place: Place, event_sets: EventSets) -> None:
    recording = event_sets.at_hand("taobao")
    expected = Expected.read(recording)
    env = {**place.env, "SALEPULSE_TIMEZONE": expected.timezone}
    up = Running("up", "--data-dir", "data", "--workers", "2", cwd=place.folder, env=env)
    with started(up):
        up.until("ready https", within_s=60)
        assert up.stdout.splitlines()[-1] == f"ready https://127.0.0.1:{place.env['SALEPULSE_HTTP_PORT']}"
        assert httpx.get(f"{place.url}/api/v1/kpis", verify=False).status_code == 401
        sent = salepulse("replay", recording, "--wait", "--json", cwd=place.folder, env=env, timeout_s=120)
        assert (sent.returncode, json.loads(sent.stdout)["counted"]) == (0, True), sent.stderr
        api = place.api()
        newest_ms = max(query.as_of for query in expected.queries)
        eventually(lambda: (api.as_of_ms() or 0) >= newest_ms, within_s=60, what="answers include all events")
        check(api, expected)
        assert _totals(place.redis) == recorded_totals(recording)
        for command in (("kpis",), ("doctor",), ("dead-letters", "list")):
            done = salepulse(*command, cwd=place.folder, env=env)
            assert done.returncode == 0, (command, done.stdout, done.stderr)
        texts = [*_what_processes_show(up), *_what_is_written(place.folder / "data"), up.stdout, up.stderr, sent.stderr]
        assert [secret for secret in SECRETS if any(secret in text for text in texts)] == []
    assert place.redis.denied() == []


@pytest.mark.parametrize(
    ("setting", "given", "expected_text"),
    [
        ("kafka_password_file", "wrong", "rejected user 'shop' with SCRAM-SHA-512, the name or the password is wrong"),
        ("redis_password_file", "wrong", "rejects user 'salepulse-write': wrong user name or password"),
        ("kafka_ca_file", "", "its certificate is signed by an unknown authority"),
        ("redis_ca_file", "", "its certificate is signed by an unknown authority"),
    ],
)
def test_a_wrong_credential_ends_up_with_one_line(place: Place, setting: str, given: str, expected_text: str) -> None:
    text = str(_secret(place.folder, "wrong", "not the password")) if given else ""
    code, line = failure("up", cwd=place.folder, env={**place.env, f"SALEPULSE_{setting.upper()}": text})
    assert (code, expected_text in line) == (1, True), line
    assert "not the password" not in line


def _secret(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.secret"
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


def _totals(store: SecureRedis) -> dict[str, int]:
    with store.admin() as client:
        return {name: int(count) for name, count in client.hgetall("salepulse:{0}:totals").items()}


def _what_processes_show(up: Running) -> list[str]:
    """Command lines and environments of all processes."""
    family = [psutil.Process(pid) for pid in (up.process.pid, *up.family())]
    return [f"{process.cmdline()} {process.environ()}" for process in family]


def _what_is_written(folder: Path) -> list[str]:
    logs = list(folder.rglob("*.log"))
    assert {"worker-1.log", "serve.log"} <= {path.name for path in logs}
    return [path.read_text() for path in logs]
