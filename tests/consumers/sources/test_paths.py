from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.sources.message import SourceMessage
from consumers.sources.paths import compile_path, parse_path

MESSAGE = {
    "id": 7,
    "customer": {"id": 5, "address": {"city": "x"}},
    "lines": [{"sku": "a"}, {"sku": "b"}],
    "params": [{"key": "page", "value": {"text": "p"}}, {"key": 3, "value": {"text": "three"}}],
    "odd.name": {'a"b': 1},
    "text": "plain",
    "nothing": None,
}


def find(path: str, entry: Any = MESSAGE) -> Any:
    return compile_path(parse_path(path))(entry, SourceMessage(MESSAGE, "t", 0, 0))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("id", 7),
        ("customer.id", 5),
        ("customer.address.city", "x"),
        ("lines[0].sku", "a"),
        ("lines[-1].sku", "b"),
        ("params[key=page].value.text", "p"),
        ("params[key=3].value.text", "three"),
        ('"odd.name"."a\\"b"', 1),
    ],
)
def test_finds(path: str, value: Any) -> None:
    assert find(path) == value


@pytest.mark.parametrize(
    "path", ["none", "customer.none", "text.length", "lines.sku", "lines[2].sku", "lines[-3]", "customer[0]",
             "params[key=none].value", "nothing.at.all", "text[0]"],
)  # fmt: skip
def test_what_is_not_there_is_absent(path: str) -> None:
    assert find(path) is None


def test_a_leading_slash_means_the_message_inside_entries() -> None:
    entry = MESSAGE["lines"][0]  # type: ignore[index]
    assert (find("sku", entry), find("/id", entry), find(".", entry)) == ("a", 7, entry)


@pytest.mark.parametrize("path", ["", "/", "a..b", "a.", ".a", "a[", "a[x]", "a]b", 'a"b', '"open', "a b.[0]x"])
def test_what_is_no_path_is_an_error(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        parse_path(path)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4))
def test_every_name_can_be_quoted(names: list[str]) -> None:
    import json

    value: Any = 1
    for name in reversed(names):
        value = {name: value}
    path = ".".join(json.dumps(name) for name in names)
    assert find(path, value) == 1
