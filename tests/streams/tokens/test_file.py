"""The tokens file is readable by its owner only and replaced atomically."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from consumers.errors import SalepulseError, UsageError
from streams.tokens.file import change_tokens, read_tokens
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
