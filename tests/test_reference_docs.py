"""The reference is up to date with the code, and every file, function and link in the docs exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.tools.reference import FOLDER, pages

REPOSITORY = Path(__file__).parents[1]
DOCS = sorted([*(REPOSITORY / "docs").rglob("*.md"), *REPOSITORY.glob("*.md")])

LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
NAMED = re.compile(r"`((?:consumers|streams|alerts|tests|docs)/[\w./-]*)(?:::(\w+))?`")
"""A path in the repository, optionally with a function or class."""

every_page = pytest.mark.parametrize("page", DOCS, ids=[str(page.relative_to(REPOSITORY)) for page in DOCS])


@pytest.mark.parametrize(("name", "text"), pages().items(), ids=pages())
def test_the_reference_is_generated_from_the_code(name: str, text: str) -> None:
    """Run `python -m tests.tools.reference` after a change to events, KPIs, metrics, settings or keys."""
    assert (FOLDER / name).read_text(encoding="utf-8") == text


@every_page
def test_link_targets_exist(page: Path) -> None:
    targets = [target for target in LINK.findall(page.read_text()) if "://" not in target]
    assert not [target for target in targets if not (page.parent / target).exists()]


@every_page
def test_named_files_and_functions_exist(page: Path) -> None:
    named = NAMED.findall(page.read_text())
    assert not [name for name, inside in named if not exists(REPOSITORY / name, inside)]


def exists(path: Path, inside: str) -> bool:
    """Whether the file exists and defines a function or class of this name, also inside a class."""
    if not inside:
        return path.exists()
    if not path.is_file():
        return False
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(node, kinds) and node.name == inside for node in ast.walk(ast.parse(path.read_text())))
