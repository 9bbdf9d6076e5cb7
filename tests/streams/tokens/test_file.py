"""The file of tokens: for its owner only, whole or not at all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from consumers.errors import SalepulseError, UsageError
from streams.tokens.file import change_tokens, read_tokens
from tests.streams.tokens.making import token, write


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "tokens.json", token("one"), token("two"))
    assert [held.name for held in read_tokens(path)] == ["one", "two"]


def test_only_its_owner_may_read_it_unless_somebody_chose_otherwise(tmp_path: Path) -> None:
    path = write(tmp_path / "tokens.json", token("one"))
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    write(path, token("two"))
    assert path.stat().st_mode & 0o777 == 0o640


def test_many_who_change_it_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    with ThreadPoolExecutor(8) as hands:
        list(hands.map(lambda n: change_tokens(path, lambda held: [*held, token(f"t{n}")]), range(40)))
    assert len(read_tokens(path)) == 40
    assert sorted(one.name for one in tmp_path.iterdir()) == [".tokens.json.lock", "tokens.json"]


def test_a_change_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "tokens.json", token("one"))

    def fail(_: object) -> list[object]:
        raise UsageError("no")

    with pytest.raises(UsageError):
        change_tokens(path, fail)  # type: ignore[arg-type]
    assert [held.name for held in read_tokens(path)] == ["one"]


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"tokens": [{"name": "one"}]}', '{"token": []}'])
def test_another_file_is_not_taken_for_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="is no file of tokens"):
        read_tokens(path)


def test_a_file_that_is_not_there_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not there: make it with `salepulse tokens create"):
        read_tokens(tmp_path / "tokens.json")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SalepulseError, match="cannot be written"):
        write(tmp_path / "nowhere" / "tokens.json", token("one"))
