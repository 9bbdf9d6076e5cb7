"""A certificate is looked at before anybody is served with it."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from consumers.errors import UsageError
from streams.serve.certificate import check_certificate
from tests.support.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_one_that_is_good_tells_when_it_expires(authority: Authority) -> None:
    pair = authority.issue("serve", days=10)
    expires_s = check_certificate(str(pair.cert), str(pair.key)).expires_ms / 1000
    assert expires_s == pytest.approx(time.time() + 10 * 86_400, abs=600)


def test_its_key_may_be_in_the_same_file(authority: Authority) -> None:
    assert check_certificate(str(authority.issue("serve").both), "")


def test_the_authority_may_follow_it_in_the_file(authority: Authority) -> None:
    pair = authority.issue("serve")
    pair.cert.write_text(pair.cert.read_text() + authority.ca.read_text())
    assert check_certificate(str(pair.cert), str(pair.key))


def refusal(cert: object, key: object) -> str:
    with pytest.raises(UsageError) as caught:
        check_certificate(str(cert), str(key))
    return str(caught.value)


def test_one_that_has_expired(authority: Authority) -> None:
    pair = authority.issue("serve", days=-1)
    said = refusal(pair.cert, pair.key)
    assert said == f"http_cert_file: {pair.cert} cannot be served with (certificate has expired): renew it"


def test_the_key_of_another(authority: Authority) -> None:
    one, other = authority.issue("one"), authority.issue("other")
    assert refusal(one.cert, other.key).startswith(f"http_key_file: {other.key} is not the key of {one.cert}")


def test_files_that_are_not_there(authority: Authority) -> None:
    pair = authority.issue("serve")
    assert refusal("/nowhere.pem", pair.key).startswith("http_cert_file: /nowhere.pem cannot be read")
    assert refusal(pair.cert, "/nowhere.key").startswith("http_key_file: /nowhere.key cannot be read")


def test_a_key_that_wants_a_password_is_refused_rather_than_asked_about(authority: Authority, tmp_path: Path) -> None:
    pair, locked = authority.issue("serve"), tmp_path / "locked.key"
    lock = ["openssl", "pkey", "-in", pair.key, "-aes256", "-passout", "pass:hunter2", "-out", locked]
    subprocess.run(lock, check=True, capture_output=True)
    assert refusal(pair.cert, locked).startswith(f"http_key_file: {locked} is encrypted")


def test_what_is_no_certificate(authority: Authority, tmp_path: Path) -> None:
    file = tmp_path / "nothing.pem"
    file.write_text("nothing")
    assert refusal(file, authority.issue("serve").key).startswith(f"http_cert_file: {file} with ")
