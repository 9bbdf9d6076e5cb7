"""Other machines are served only with tokens; the certificate is checked at start."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from consumers.errors import SalepulseError, UsageError
from streams.process.startup_checks import check_certificate, check_exposure, is_loopback
from streams.settings import Settings
from tests.streams.tokens.making import token, write
from tests.support.certificates import Authority


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_tokens(host: str) -> None:
    assert is_loopback(host)
    check_exposure(Settings(http_host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.7", "::ffff:127.0.0.2"])
def test_other_addresses_are_rejected_without_tokens(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(UsageError, match="is reachable from other machines, and there are no tokens: create one with"):
        check_exposure(Settings(http_host=host))


def test_other_addresses_are_served_with_a_token(tmp_path: Path) -> None:
    check_exposure(Settings(http_host="0.0.0.0", tokens_file=str(write(tmp_path / "tokens.json", token("one")))))


@pytest.mark.parametrize("tokens", [[], [token("old", expires_ms=1)]])
def test_a_tokens_file_without_a_valid_token_is_rejected(tmp_path: Path, tokens: list[object]) -> None:
    path = write(tmp_path / "tokens.json", *tokens)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="has no valid token"):
        check_exposure(Settings(http_host="0.0.0.0", tokens_file=str(path)))


def test_a_missing_tokens_file_is_rejected_also_on_loopback(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist: create it"):
        check_exposure(Settings(tokens_file=str(tmp_path / "tokens.json")))


def test_metrics_of_other_roles_have_a_host_of_their_own() -> None:
    check_exposure(Settings(http_host="0.0.0.0"), "metrics_host")
    with pytest.raises(UsageError, match="set metrics_host=127"):
        check_exposure(Settings(metrics_host="0.0.0.0"), "metrics_host")


def test_an_unknown_host_name_is_rejected() -> None:
    with pytest.raises(SalepulseError, match=r"cannot serve at no\.such\.host\.invalid"):
        is_loopback("no.such.host.invalid")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_a_valid_certificate_has_its_expiry(authority: Authority) -> None:
    pair = authority.issue("serve", days=10)
    expires_s = check_certificate(str(pair.cert), str(pair.key)).timestamp()
    assert expires_s == pytest.approx(time.time() + 10 * 86_400, abs=600)


def test_the_key_may_be_in_the_certificate_file(authority: Authority) -> None:
    assert check_certificate(str(authority.issue("serve").both), "")


def test_the_certificate_file_may_contain_the_authority(authority: Authority) -> None:
    pair = authority.issue("serve")
    pair.cert.write_text(pair.cert.read_text() + authority.ca.read_text())
    assert check_certificate(str(pair.cert), str(pair.key))


def refusal(cert: object, key: object) -> str:
    with pytest.raises(UsageError) as caught:
        check_certificate(str(cert), str(key))
    return str(caught.value)


def test_an_expired_certificate_is_rejected(authority: Authority) -> None:
    pair = authority.issue("serve", days=-1)
    message = refusal(pair.cert, pair.key)
    assert message == f"http_cert_file: invalid certificate {pair.cert} (certificate has expired): renew it"


def test_a_key_of_another_certificate_is_rejected(authority: Authority) -> None:
    one, other = authority.issue("one"), authority.issue("other")
    assert refusal(one.cert, other.key).startswith(f"http_key_file: {other.key} is not the key of {one.cert}")


def test_missing_files_are_rejected(authority: Authority) -> None:
    pair = authority.issue("serve")
    assert refusal("/nowhere.pem", pair.key).startswith("http_cert_file: /nowhere.pem cannot be read")
    assert refusal(pair.cert, "/nowhere.key").startswith("http_key_file: /nowhere.key cannot be read")


def test_an_encrypted_key_is_rejected_without_a_prompt(authority: Authority, tmp_path: Path) -> None:
    pair, locked = authority.issue("serve"), tmp_path / "locked.key"
    lock = ["openssl", "pkey", "-in", pair.key, "-aes256", "-passout", "pass:hunter2", "-out", locked]
    subprocess.run(lock, check=True, capture_output=True)
    assert refusal(pair.cert, locked).startswith(f"http_key_file: {locked} is encrypted")


def test_a_file_that_is_no_certificate_is_rejected(authority: Authority, tmp_path: Path) -> None:
    file = tmp_path / "nothing.pem"
    file.write_text("nothing")
    assert refusal(file, authority.issue("serve").key).startswith(f"http_cert_file: {file} with ")
