"""The token store of a server reloads its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.tokens import file as module
from streams.tokens.file import TokenStore
from tests.streams.tokens.making import token, write


@pytest.fixture(autouse=True)
def _check_the_file_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHECK_EVERY_S", 0.0)


def find(store: TokenStore, secret: str) -> str | None:
    found = store.find(secret)
    return None if found is None else found.name


def test_a_secret_finds_its_token(tmp_path: Path) -> None:
    store = TokenStore(write(tmp_path / "tokens.json", token("one"), token("two")))
    assert [find(store, text) for text in ("sp_one", "sp_two", "sp_three", "", "one")] == [
        "one",
        "two",
        None,
        None,
        None,
    ]


def test_created_tokens_are_accepted_and_revoked_ones_rejected(tmp_path: Path) -> None:
    path = write(tmp_path / "tokens.json", token("one"))
    store = TokenStore(path)
    write(path, token("two"))
    assert (find(store, "sp_one"), find(store, "sp_two")) == (None, "two")


@pytest.mark.parametrize("how", ["broken", "gone"])
def test_the_loaded_tokens_stay_valid_while_the_file_is_unreadable(tmp_path: Path, how: str) -> None:
    path = write(tmp_path / "tokens.json", token("one"))
    store = TokenStore(path)
    if how == "gone":
        path.unlink()
    else:
        path.write_text("half of it")
    assert find(store, "sp_one") == "one"
    path.unlink(missing_ok=True)
    write(path, token("two"))
    assert (find(store, "sp_one"), find(store, "sp_two")) == (None, "two")
