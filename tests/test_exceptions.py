"""No exception to the rules of the source tree outlives its cause."""

from __future__ import annotations

import tomllib
from pathlib import Path

from tests.test_architecture import REPOSITORY, VALUE_MODULES
from tests.test_language import FORMER_NAMES, banned_words


def test_excepted_value_modules_exist() -> None:
    assert [name for name in VALUE_MODULES if not (REPOSITORY / name).is_file()] == []


def test_files_excepted_from_lint_rules_exist() -> None:
    ruff = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert [glob for glob in ruff["per-file-ignores"] if not any(Path(REPOSITORY).glob(glob))] == []


def test_files_excepted_from_the_banned_words_still_use_them() -> None:
    assert [name for name in FORMER_NAMES if not banned_words((REPOSITORY / name).read_text())] == []
