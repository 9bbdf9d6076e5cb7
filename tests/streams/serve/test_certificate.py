"""The certificate is checked at start."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from consumers.errors import UsageError
from streams.process.startup_checks import check_certificate
from tests.support.certificates import Authority


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
