"""`salepulse tokens`, and `salepulse serve` with tokens and TLS, as real processes."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from streams.local.embedded.ports import LOOPBACK, free_port
from tests.support.certificates import Authority
from tests.support.salepulse import Running, failure, salepulse, started
from tests.support.wait import eventually

FILE = ("--file", "tokens.json")


def made(tmp_path: Path, *arguments: str) -> str:
    """The secret of a new token, which is all of stdout."""
    done = salepulse("tokens", "create", *arguments, *FILE, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_token_is_printed_once_and_only_its_hash_is_stored(tmp_path: Path) -> None:
    secret = made(tmp_path, "grafana")
    assert len(secret) == len("sp_") + 43
    assert secret != made(tmp_path, "other")
    assert secret not in (tmp_path / "tokens.json").read_text()
    listed = salepulse("tokens", "list", *FILE, cwd=tmp_path).stdout
    assert secret not in listed
    assert [line.split()[:2] for line in listed.splitlines()[1:]] == [["grafana", "read"], ["other", "read"]]


def test_a_token_has_a_scope_and_may_expire(tmp_path: Path) -> None:
    made(tmp_path, "oncall", "--scope", "ack", "--expires", "12h")
    held = json.loads(salepulse("tokens", "list", "--json", *FILE, cwd=tmp_path).stdout)["tokens"][0]
    assert (held["name"], held["scope"], held["expired"]) == ("oncall", "ack", False)
    assert held["expires_ms"] - held["created_ms"] == 12 * 3_600_000
    assert abs(held["created_ms"] - time.time() * 1000) < 60_000


def test_json_describes_the_created_token(tmp_path: Path) -> None:
    done = salepulse("tokens", "create", "ci", "--scope", "admin", "--json", *FILE, cwd=tmp_path)
    facts = json.loads(done.stdout)
    assert (facts["name"], facts["scope"], facts["expires_ms"]) == ("ci", "admin", None)
    assert facts["token"].startswith("sp_")


def test_a_revoked_token_is_removed(tmp_path: Path) -> None:
    made(tmp_path, "one")
    assert salepulse("tokens", "revoke", "one", *FILE, cwd=tmp_path).returncode == 0
    assert json.loads(salepulse("tokens", "list", "--json", *FILE, cwd=tmp_path).stdout) == {"tokens": []}


def test_the_default_file_is_that_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "salepulse.toml").write_text('tokens_file = "kept.json"\n')
    assert salepulse("tokens", "create", "one", cwd=tmp_path).returncode == 0
    assert (tmp_path / "kept.json").exists()


def test_errors_are_one_line(tmp_path: Path) -> None:
    made(tmp_path, "one")
    for arguments, code, says in (
        (("create", "one", *FILE), 2, "token 'one' exists in tokens.json"),
        (("create", "two words", *FILE), 2, "'two words' is not a valid token name"),
        (("create", "two", "--expires", "soon", *FILE), 2, "--expires: 'soon' is no duration: write a number"),
        (("create", "two"), 2, "no tokens file: give --file FILE, or set tokens_file"),
        (("revoke", "two", *FILE), 2, "no token 'two' in tokens.json"),
        (("list", "--file", "other.json"), 2, "other.json does not exist"),
        (("create", "two", "--file", "nowhere/tokens.json"), 1, "nowhere/tokens.json cannot be written"),
    ):
        assert failure("tokens", *arguments, cwd=tmp_path)[0] == code
        assert says in failure("tokens", *arguments, cwd=tmp_path)[1]


@pytest.mark.parametrize("command", ["serve", "up"])
def test_it_does_not_bind_to_the_network_without_tokens(tmp_path: Path, command: str) -> None:
    code, line = failure(command, "--http-host", "0.0.0.0", cwd=tmp_path)
    assert code == 2
    assert line.startswith("0.0.0.0 is reachable from other machines, and there are no tokens: create one with")


@pytest.mark.parametrize("command", ["serve", "up"])
def test_an_expired_certificate_is_rejected(tmp_path: Path, command: str) -> None:
    pair = Authority(tmp_path).issue("serve", days=-1)
    env = {"SALEPULSE_HTTP_CERT_FILE": str(pair.cert), "SALEPULSE_HTTP_KEY_FILE": str(pair.key)}
    code, line = failure(command, cwd=tmp_path, env=env)
    assert (code, line.endswith("(certificate has expired): renew it")) == (2, True)


class Client:
    """A TLS client that trusts a certificate authority."""

    def __init__(self, port: int, ca: Path, host: str = "localhost") -> None:
        context = ssl.create_default_context(cafile=ca)
        handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        self._opener = urllib.request.build_opener(*handlers)
        self._url = f"https://{host}:{port}"

    def status(self, path: str, secret: str = "") -> int:
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        try:
            with self._opener.open(urllib.request.Request(f"{self._url}{path}", headers=headers), timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code


def test_a_server_on_the_network_requires_tokens_over_tls(tmp_path: Path, redis_url: str) -> None:
    authority, port = Authority(tmp_path), free_port()
    pair, secret = authority.issue("serve"), made(tmp_path, "grafana")
    env = {
        "SALEPULSE_HTTP_CERT_FILE": str(pair.cert),
        "SALEPULSE_HTTP_KEY_FILE": str(pair.key),
        "SALEPULSE_TOKENS_FILE": "tokens.json",
        "SALEPULSE_REDIS_URL": redis_url,
    }
    server = Running("serve", "--http-host", "0.0.0.0", "--http-port", str(port), cwd=tmp_path, env=env)
    with started(server):
        server.until(f"https://0.0.0.0:{port}")
        client = Client(port, authority.ca)
        eventually(lambda: _reaches(client), what="the server answers")
        assert (client.status("/healthz"), client.status("/metrics")) == (200, 401)
        assert client.status("/metrics", secret) == 200
        assert client.status("/api/v1/definitions", secret) == 200
        with pytest.raises(urllib.error.URLError, match="IP address mismatch"):
            Client(port, authority.ca, "127.0.0.2").status("/healthz")
        with pytest.raises(OSError, match=r"disconnected|closed|reset|Invalid|BadStatusLine|Empty|response"):
            urllib.request.urlopen(f"http://{LOOPBACK}:{port}/healthz", timeout=10)
        assert salepulse("tokens", "revoke", "grafana", *FILE, cwd=tmp_path).returncode == 0
        eventually(lambda: client.status("/metrics", secret) == 401, within_s=5, what="the token is rejected")
    assert secret not in server.stdout + server.stderr
    assert "Traceback" not in server.stderr


def _reaches(client: Client) -> bool:
    try:
        return client.status("/healthz") == 200
    except OSError:
        return False
