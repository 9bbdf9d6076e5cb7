"""Secrets are masked in every form."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from consumers import masking
from consumers.errors import SalepulseError
from consumers.masking import MaskedFormatter, mask_secrets, mask_tracebacks, register_secret

SECRET = "hunter2/with+signs & more"


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test starts without secrets."""
    monkeypatch.setattr(masking._PROCESS, "_secrets", set())
    hook = sys.excepthook
    yield
    sys.excepthook = hook


def test_a_secret_is_masked_at_every_occurrence() -> None:
    register_secret(SECRET)
    assert mask_secrets(f"login {SECRET} failed, {SECRET}!") == "login *** failed, ***!"


def test_a_url_encoded_secret_is_masked() -> None:
    register_secret(SECRET)
    assert mask_secrets(f"redis://shop:{quote(SECRET, safe='')}@cache:6379") == "redis://shop:***@cache:6379"


def test_only_the_password_of_a_url_is_masked() -> None:
    register_secret(f"redis://shop:{quote(SECRET, safe='')}@cache:6379/0")
    assert mask_secrets(f"shop with {SECRET} at cache:6379") == "shop with *** at cache:6379"


def test_a_url_without_a_password_masks_nothing() -> None:
    register_secret("redis://cache:6379/0")
    assert mask_secrets("redis://cache:6379/0") == "redis://cache:6379/0"


def test_a_secret_shorter_than_4_characters_is_not_masked() -> None:
    register_secret("abc")
    assert mask_secrets("abcdef") == "abcdef"


def test_errors_mask_secrets() -> None:
    register_secret(SECRET)
    assert str(SalepulseError(f"the broker says: {SECRET} is wrong")) == "the broker says: *** is wrong"


def test_logs_and_their_tracebacks_mask_secrets() -> None:
    register_secret(SECRET)
    try:
        raise ValueError(SECRET)
    except ValueError:
        record = logging.LogRecord("lib", logging.ERROR, "", 0, "no: %s", (SECRET,), sys.exc_info())
    written = MaskedFormatter("%(message)s").format(record)
    assert SECRET not in written
    assert written.startswith("no: ***\nTraceback")
    assert written.endswith("ValueError: ***")


def test_tracebacks_of_uncaught_errors_mask_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    register_secret(SECRET)
    mask_tracebacks()
    error = ValueError(SECRET)
    sys.excepthook(type(error), error, error.__traceback__)
    assert capsys.readouterr().err == "ValueError: ***\n"
