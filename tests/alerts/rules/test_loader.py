"""Reloading of rule files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from alerts.rules.loader import RuleLoader, RulesError

GOOD = "rules: [{name: low-roas, title: Low, detect: {kind: threshold, value: roas, below: 1}}]"


def write(path: Path, text: str, second: int) -> None:
    path.write_text(text)
    os.utime(path, (second, second))


def test_a_changed_file_is_reloaded(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    write(path, GOOD, 1)
    loader = RuleLoader(path)
    assert not loader.refresh()
    write(path, GOOD.replace("low-roas", "poor-roas"), 2)
    assert loader.refresh()
    assert loader.loaded.rules.rules[0].name == "poor-roas"


def test_an_invalid_file_keeps_the_last_valid_rules_and_lists_errors(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    write(path, GOOD, 1)
    loader = RuleLoader(path)
    write(path, GOOD.replace("below", "bellow"), 2)
    assert loader.refresh()
    assert loader.loaded.rules.rules[0].name == "low-roas"
    assert "bellow" in loader.loaded.errors[0].message
    write(path, GOOD, 3)
    assert loader.refresh()
    assert loader.loaded.errors == ()


def test_a_removed_file_keeps_the_last_valid_rules(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    write(path, GOOD, 1)
    loader = RuleLoader(path)
    path.unlink()
    assert loader.refresh()
    assert loader.loaded.rules.rules[0].name == "low-roas"
    assert "cannot be read" in loader.loaded.errors[0].message


def test_a_missing_file_is_an_error_at_start(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("rules:\n  - nmae: x\n")
    with pytest.raises(RulesError, match=r"rules.yaml:2: .*nmae"):
        RuleLoader(path)


def test_without_a_file_the_default_rules_are_in_force() -> None:
    loader = RuleLoader(None)
    assert "conversion-drop" in [rule.name for rule in loader.loaded.rules.rules]
    assert not loader.refresh()
