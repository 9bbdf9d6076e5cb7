"""The tokens of a running server follow their file."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.tokens import token_store as module
from streams.tokens.token_store import TokenStore
from tests.streams.tokens.making import token, write


@pytest.fixture(autouse=True)
def _always_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_EVERY_S", 0.0)


def find(book: TokenStore, secret: str) -> str | None:
    found = book.find(secret)
    return None if found is None else found.name


def test_a_secret_belongs_to_its_token(tmp_path: Path) -> None:
    book = TokenStore(write(tmp_path / "tokens.json", token("one"), token("two")))
    assert [find(book, text) for text in ("sp_one", "sp_two", "sp_three", "", "one")] == [
        "one",
        "two",
        None,
        None,
        None,
    ]


def test_a_new_token_is_known_and_one_that_is_taken_away_is_not(tmp_path: Path) -> None:
    path = write(tmp_path / "tokens.json", token("one"))
    book = TokenStore(path)
    write(path, token("two"))
    assert (find(book, "sp_one"), find(book, "sp_two")) == (None, "two")


@pytest.mark.parametrize("how", ["broken", "gone"])
def test_a_file_that_cannot_be_read_any_more_changes_nothing_until_it_can(tmp_path: Path, how: str) -> None:
    path = write(tmp_path / "tokens.json", token("one"))
    book = TokenStore(path)
    if how == "gone":
        path.unlink()
    else:
        path.write_text("half of it")
    assert find(book, "sp_one") == "one"
    path.unlink(missing_ok=True)
    write(path, token("two"))
    assert (find(book, "sp_one"), find(book, "sp_two")) == (None, "two")
