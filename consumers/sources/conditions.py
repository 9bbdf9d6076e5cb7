"""Compiles the conditions of `when` into functions, once per file."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from consumers.sources.file import HEADER_PREFIX, Conditions, ValueCondition
from consumers.sources.message import SourceMessage
from consumers.sources.paths import Finder, compile_path, parse_path
from consumers.sources.values import MappingError, shown, text_of, time_converter
from consumers.times import parse_duration

Test = Callable[[Any, SourceMessage], bool]
"""(the entry of `each` or the root of the message, the message) -> whether the conditions hold."""


def compile_conditions(conditions: Conditions | None) -> Test | None:
    """The test that all conditions hold; None if there are none."""
    if not conditions:
        return None
    tests = [_test(_condition_finder(path), condition, _only_step(path)) for path, condition in conditions.items()]
    if len(tests) == 1:
        return tests[0]
    return lambda entry, message: all(test(entry, message) for test in tests)


def unmet_condition(conditions: Conditions | None, entry: Any, message: SourceMessage) -> str | None:
    """The first condition that does not hold, for messages: its path and the value there."""
    for path, condition in (conditions or {}).items():
        find = _condition_finder(path)
        if not _test(find, condition, None)(entry, message):
            value = find(entry, message)
            return f"`{path}` is {'absent' if value is None else shown(value)}"
    return None


def _condition_finder(path: str) -> Finder:
    if not path.startswith(HEADER_PREFIX):
        return compile_path(parse_path(path))
    name = path.removeprefix(HEADER_PREFIX)
    return lambda _entry, message: message.header(name)


def _test(find: Finder, condition: ValueCondition, key: str | None) -> Test:
    """`key`: the field of the entry that `find` finds, if it is one."""
    if condition.model_fields_set == {"one_of"}:
        wanted = frozenset(condition.one_of or ())
        return _one_of_test(find, wanted) if key is None else _field_one_of_test(key, wanted)
    if condition.of is not None:
        recent, other = test_of_times(condition), compile_path(parse_path(condition.of))
        return lambda entry, message: recent(find(entry, message), other(entry, message))
    test = test_of_value(condition)
    return lambda entry, message: test(find(entry, message))


def test_of_value(condition: ValueCondition) -> Callable[[Any], bool]:
    """The test of a value, without `within`."""
    parts = list(filter(None, (_value_test(condition), _number_test(condition))))
    return parts[0] if len(parts) == 1 else lambda value: all(part(value) for part in parts)


def test_of_times(condition: ValueCondition) -> Callable[[Any, Any], bool]:
    """The test of a value and of the time it is compared with: one that is absent or unreadable does not meet it."""
    convert = time_converter(condition.time, condition.zone)
    limit_ms = round(parse_duration(condition.within or "") * 1000)
    test = test_of_value(condition)

    def test_times(found: Any, other: Any) -> bool:
        try:
            time_ms, other_ms = convert(found), convert(other)
        except MappingError:
            return False
        if time_ms is None or other_ms is None or other_ms - time_ms > limit_ms:
            return False
        return test(found)

    return test_times


def _one_of_test(find: Finder, wanted: frozenset[str]) -> Test:
    def test(entry: Any, message: SourceMessage) -> bool:
        value = find(entry, message)
        return (value if value.__class__ is str else text_of(value)) in wanted

    return test


def _field_one_of_test(key: str, wanted: frozenset[str]) -> Test:
    def test(entry: Any, _message: SourceMessage) -> bool:
        value = entry.get(key) if entry.__class__ is dict else None
        return (value if value.__class__ is str else text_of(value)) in wanted

    return test


def _only_step(path: str) -> str | None:
    """The name of the entry's field, if the path is nothing else."""
    if path.startswith(HEADER_PREFIX):
        return None
    parsed = parse_path(path)
    match parsed.steps:
        case (str(name),) if not parsed.from_message:
            return name
    return None


def _value_test(condition: ValueCondition) -> Callable[[Any], bool] | None:
    one_of, none_of = condition.one_of, frozenset(condition.none_of or ())
    if one_of is None and not none_of and condition.present is None:
        return None

    def test(value: Any) -> bool:
        if condition.present is not None and (value is not None and value != "") != condition.present:
            return False
        text = text_of(value)
        return text not in none_of and (one_of is None or text in one_of)

    return test


def _number_test(condition: ValueCondition) -> Callable[[Any], bool] | None:
    bounds = [condition.above, condition.below, condition.at_least, condition.at_most]
    if all(bound is None for bound in bounds):
        return None
    above, below, at_least, at_most = (None if bound is None else Decimal(repr(bound)) for bound in bounds)
    only_above = condition.above if bounds[1:] == [None] * 3 else None

    def test(value: Any) -> bool:
        if only_above is not None and value.__class__ is int:
            return bool(value > only_above)
        try:
            number = Decimal(text_of(value) or "")
        except InvalidOperation:
            return False
        return (
            number.is_finite()
            and (above is None or number > above)
            and (below is None or number < below)
            and (at_least is None or number >= at_least)
            and (at_most is None or number <= at_most)
        )

    return test
