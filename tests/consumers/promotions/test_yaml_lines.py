"""Parsed YAML keeps lines and the scalars' text; errors have their line."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.promotions.yaml_lines import (
    YamlError,
    YamlList,
    YamlMapping,
    YamlNull,
    YamlScalar,
    parse_yaml,
    walk_lines,
)


def test_every_value_has_its_line() -> None:
    root = parse_yaml("a: 1\nb:\n  - x\n  - {c: y}\n")
    assert dict(walk_lines(root)) == {(): 1, ("a",): 1, ("b",): 3, ("b", 0): 3, ("b", 1): 4, ("b", 1, "c"): 4}
    assert isinstance(root, YamlMapping)
    assert root.lines == {"a": 1, "b": 2}


@pytest.mark.parametrize("text", ["no", "0123", "12:30", "2026-11-11", "1_000", "1e3", "true", ".5"])
def test_a_scalar_keeps_its_text(text: str) -> None:
    assert parse_yaml(f"[{text}]") == YamlList(1, (YamlScalar(1, text),))


@pytest.mark.parametrize("text", ["", "# nothing\n", "~", "null"])
def test_an_empty_value_is_null(text: str) -> None:
    assert parse_yaml(text) == YamlNull(1)


@pytest.mark.parametrize(
    ("text", "line", "expected_text"),
    [
        ("a: 1\nb: [", 3, "not YAML"),
        ("a: 1\n\n a: 2", 3, "not YAML"),
        ("a: 1\na: 2", 2, "`a` is already on line 1"),
        ("? [a]\n: 1", 1, "a name must be plain text"),
        ("a: &a [*a]", 1, "an alias inside itself"),
        ("\x00", 1, "not YAML"),
        ("a: 1\n---\nb: 2", 2, "not YAML: but found another document"),
        ("a: &a [1,2]\nb: *c", 2, "found undefined alias"),
    ],
)
def test_invalid_yaml_is_reported_with_its_line(text: str, line: int, expected_text: str) -> None:
    with pytest.raises(YamlError, match=expected_text.replace("[", r"\[")) as raised:
        parse_yaml(text)
    assert raised.value.line == line


def test_nested_aliases_cannot_exhaust_memory() -> None:
    names = "abcdefgh"
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
    bomb += "".join(f"{name}: &{name} [{','.join([f'*{last}'] * 10)}]\n" for last, name in pairwise(names))
    with pytest.raises(YamlError, match="more than 1,000,000 values"):
        parse_yaml(bomb)


@given(st.text(max_size=60))
def test_any_text_gives_a_tree_or_a_yaml_error(text: str) -> None:
    with suppress(YamlError):
        assert all(line >= 1 for _, line in walk_lines(parse_yaml(text)))
