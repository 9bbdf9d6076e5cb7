"""No exception to the rules of the source tree outlives its cause."""

from __future__ import annotations

import tomllib
from pathlib import Path

from tests.test_architecture import (
    IMPORT_CYCLES,
    IMPURE_IMPORTS,
    REPOSITORY,
    VALUE_MODULES,
    impure_imports,
    pure,
    sub_package_imports,
)
from tests.test_language import FORMER_NAMES, banned_words


def test_excepted_impure_imports_exist() -> None:
    found = {(name, target) for name in pure() for target in impure_imports(name)}
    assert sorted(IMPURE_IMPORTS.keys() - found) == []


def test_excepted_value_modules_exist() -> None:
    assert [name for name in VALUE_MODULES if not (REPOSITORY / name).is_file()] == []


def test_excepted_import_cycles_exist() -> None:
    graph = sub_package_imports()

    def reaches(start: str, end: str) -> bool:
        seen, to_visit = {start}, [start]
        for name in to_visit:
            to_visit += sorted(graph.get(name, set()) - seen)
            seen |= graph.get(name, set())
        return end in seen

    gone = [(one, other) for one, other in IMPORT_CYCLES if other not in graph[one] or not reaches(other, one)]
    assert gone == []


def test_files_excepted_from_lint_rules_exist() -> None:
    ruff = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert [glob for glob in ruff["per-file-ignores"] if not any(Path(REPOSITORY).glob(glob))] == []


def test_files_excepted_from_the_banned_words_still_use_them() -> None:
    assert [name for name in FORMER_NAMES if not banned_words((REPOSITORY / name).read_text())] == []
