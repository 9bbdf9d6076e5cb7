"""The tokens file is readable by its owner only and replaced atomically; servers reload it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from consumers.errors import SalepulseError, UsageError
from streams.tokens import file as module
from streams.tokens.file import TokenStore, change_tokens, read_tokens
from tests.streams.tokens.making import token, write


def test_written_tokens_are_read_back(tmp_path: Path) -> None:
    path = write(tmp_path / "tokens.json", token("one"), token("two"))
    assert [held.name for held in read_tokens(path)] == ["one", "two"]


def test_only_the_owner_may_read_it_unless_its_mode_was_changed(tmp_path: Path) -> None:
    path = write(tmp_path / "tokens.json", token("one"))
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    write(path, token("two"))
    assert path.stat().st_mode & 0o777 == 0o640


def test_concurrent_changes_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: change_tokens(path, lambda held: [*held, token(f"t{n}")]), range(40)))
    assert len(read_tokens(path)) == 40
    assert sorted(one.name for one in tmp_path.iterdir()) == [".tokens.json.lock", "tokens.json"]


def test_a_failed_change_leaves_the_file_unchanged(tmp_path: Path) -> None:
    path = write(tmp_path / "tokens.json", token("one"))

    def fail(_: object) -> list[object]:
        raise UsageError("no")

    with pytest.raises(UsageError):
        change_tokens(path, fail)  # type: ignore[arg-type]
    assert [held.name for held in read_tokens(path)] == ["one"]


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"tokens": [{"name": "one"}]}', '{"token": []}'])
def test_an_invalid_file_is_rejected(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="is not a valid tokens file"):
        read_tokens(path)


def test_the_error_of_a_missing_file_names_the_command_that_creates_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist: create it with `salepulse tokens create"):
        read_tokens(tmp_path / "tokens.json")


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SalepulseError, match="cannot be written"):
        write(tmp_path / "nowhere" / "tokens.json", token("one"))


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
