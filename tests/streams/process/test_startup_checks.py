"""Other machines are served only with tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from consumers.errors import SalepulseError, UsageError
from streams.process.startup_checks import check_exposure, is_loopback
from streams.settings import Settings
from tests.streams.tokens.making import token, write


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
