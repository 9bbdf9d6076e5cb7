"""Paths to values in a message, such as `customer.id`, compiled once into functions.

| path | value |
| --- | --- |
| `customer.id` | field `id` of the object in field `customer` |
| `lines[0].sku`, `lines[-1]` | by position in a list, from its end if negative |
| `params[key=page].value` | the first object of a list whose field `key` is `page` |
| `"odd.name".x` | a name with a dot, a bracket or a quote in it, as a JSON string |
| `/currency` | inside `each`: from the message instead of the entry |
| `.` | the entry itself |

A path that finds nothing, for whatever reason, is absent: None.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from consumers.sources.values import text_of

Finder = Callable[[Any, Any], Any]
"""(the entry of `each` or the root of the message, the `SourceMessage`) -> value, None if absent."""

_STEP = re.compile(
    r"""\[(?P<index>-?\d{1,9})\]"""
    r"""|\[(?P<key>[^\]=\[]+)=(?P<wanted>[^\]]*)\]"""
    r"""|(?P<dot>\.)?(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<name>[^.\[\]"/][^.\[\]"]*))"""
)


@dataclass(frozen=True, slots=True)
class EntryWith:
    """A step to the first object of a list whose field has a value."""

    key: str
    wanted: str


Step = str | int | EntryWith


@dataclass(frozen=True, slots=True)
class MessagePath:
    """A parsed path."""

    text: str
    steps: tuple[Step, ...]
    from_message: bool = False
    """Starts at the message, also inside `each`."""

    def __str__(self) -> str:
        return self.text


def parse_path(text: str) -> MessagePath:
    """Parse a path. Raises ValueError with the problem and the fix.

    >>> parse_path('lines[0]."odd.name"').steps
    ('lines', 0, 'odd.name')
    """
    if text == ".":
        return MessagePath(text, ())
    rest = text.removeprefix("/")
    steps: list[Step] = []
    at = 0
    while at < len(rest):
        match = _STEP.match(rest, at)
        is_name = match is not None and match["index"] is None and match["key"] is None
        if match is None or (is_name and bool(match["dot"]) != bool(steps)):
            raise ValueError(
                f"{text!r} is not a path, at character {len(text) - len(rest) + at + 1}: write names separated by "
                'dots, such as customer.id or lines[0].sku; a name with a dot in it takes quotes, as in "odd.name".x'
            )
        if match["name"] == "$" and not steps:
            raise ValueError(f'{text!r} is a JSONPath: write the path without `$.`, or a field of this name as "$"')
        steps.append(_step(match))
        at = match.end()
    if not steps:
        raise ValueError("the path is empty: write names separated by dots, such as customer.id")
    return MessagePath(text, tuple(steps), text.startswith("/"))


def _step(match: re.Match[str]) -> Step:
    if match["index"] is not None:
        return int(match["index"])
    if match["key"] is not None:
        return EntryWith(match["key"], match["wanted"].strip('"'))
    if match["quoted"] is not None:
        return str(json.loads(f'"{match["quoted"]}"'))
    return str(match["name"])


def compile_path(path: MessagePath) -> Finder:
    """The function that finds the value of a path."""
    steps = path.steps
    if path.from_message:
        find = compile_path(MessagePath(path.text, steps))
        return lambda _, message: find(message.root, message)
    match steps:
        case (str(name),):
            return _find_field(name)
        case (str(outer), str(inner)):
            return _find_inner_field(outer, inner)
    return find_by_steps(steps)


def _find_field(name: str) -> Finder:
    def find(entry: Any, _message: Any) -> Any:
        return entry.get(name) if entry.__class__ is dict else None

    return find


def _find_inner_field(outer: str, inner: str) -> Finder:
    def find(entry: Any, _message: Any) -> Any:
        if entry.__class__ is not dict:
            return None
        found = entry.get(outer)
        return found.get(inner) if found.__class__ is dict else None

    return find


def find_by_steps(steps: Sequence[Step]) -> Finder:
    """The function that takes steps from a value."""

    def find(entry: Any, _message: Any) -> Any:
        found = entry
        for step in steps:
            if step.__class__ is str:
                if found.__class__ is not dict:
                    return None
                found = found.get(step)
            elif found.__class__ is not list:
                return None
            elif step.__class__ is int:
                if not -len(found) <= step < len(found):
                    return None
                found = found[step]
            else:
                found = _entry_with(found, step)
        return found

    return find


def _entry_with(entries: list[Any], step: Any) -> Any:
    for entry in entries:
        if entry.__class__ is dict and text_of(entry.get(step.key)) == step.wanted:
            return entry
    return None
