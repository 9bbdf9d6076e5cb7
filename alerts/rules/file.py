"""A rule file: YAML to rules, with every fault found at once and the line that it stands on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from alerts.rules.detect import (
    ChangeDetector,
    HealthCheckDetector,
    SequentialDetector,
    SilenceDetector,
    ThresholdDetector,
)
from alerts.rules.rule import Budget, PromotionCondition, Rule, RuleOverride, Rules
from consumers.promotions.definition import FileError
from consumers.promotions.yaml_lines import (
    YamlError,
    YamlList,
    YamlMapping,
    YamlNode,
    YamlNull,
    YamlScalar,
    parse_yaml,
    walk_lines,
)
from consumers.validation_messages import validation_message

Path = tuple[str | int, ...]
_MODELS: tuple[type[BaseModel], ...] = (
    *(Rules, Budget, Rule, PromotionCondition, RuleOverride),
    *(ThresholdDetector, ChangeDetector, SequentialDetector, SilenceDetector, HealthCheckDetector),
)
_NAMES = sorted({field.alias or name for model in _MODELS for name, field in model.model_fields.items()})


@dataclass(frozen=True, slots=True)
class RuleFile:
    """What a file says; `rules` is None with any fault."""

    rules: Rules | None
    errors: tuple[FileError, ...] = ()


def read_rules(text: str) -> RuleFile:
    """The rules of a file; never raises for what the file holds."""
    try:
        root = parse_yaml(text)
    except YamlError as error:
        return RuleFile(None, (FileError(error.line, str(error)),))
    if not isinstance(root, YamlMapping):
        return RuleFile(None, (FileError(root.line, "no rules: write a list of them under `rules:`"),))
    try:
        return RuleFile(Rules.model_validate(_plain(root)))
    except ValidationError as error:
        return RuleFile(None, _errors(error, root))


def _plain(node: YamlNode) -> Any:
    """Values as pydantic takes them: scalars as they were written."""
    match node:
        case YamlMapping(values=values):
            return {name: _plain(value) for name, value in values.items() if not isinstance(value, YamlNull)}
        case YamlList(items=items):
            return [_plain(item) for item in items]
        case YamlScalar(text=text):
            return text
    return None


def _errors(error: ValidationError, root: YamlMapping) -> tuple[FileError, ...]:
    lines = dict(walk_lines(root))
    names = {(*path, name): line for path, fields in _mappings(root) for name, line in fields.lines.items()}
    lines.update(names)
    found = list(_repeated(root))
    for wrong in error.errors(include_url=False):
        if found and not wrong["loc"]:  # what a check of the whole file said: the repeated names, without a line
            continue
        path = _existing(tuple(wrong["loc"]), lines)
        found.append(FileError(_line(path, lines), _message(wrong, path)))
    return tuple(sorted(dict.fromkeys(found), key=lambda fault: fault.line))


def _repeated(root: YamlMapping) -> Iterator[FileError]:
    """Names that an earlier rule has, at the line of the later one."""
    seen: dict[str, int] = {}
    rules = root.values.get("rules")
    for rule in rules.items if isinstance(rules, YamlList) else ():
        name = rule.values.get("name") if isinstance(rule, YamlMapping) else None
        if not isinstance(name, YamlScalar):
            continue
        if name.text in seen:
            first = f"first in line {seen[name.text]}"
            yield FileError(name.line, f"rule {name.text!r} is given twice, {first}: rename one, or leave it out")
        seen.setdefault(name.text, name.line)


def _mappings(node: YamlNode, path: Path = ()) -> list[tuple[Path, YamlMapping]]:
    match node:
        case YamlMapping(values=values):
            return [(path, node), *(pair for name, value in values.items() for pair in _mappings(value, (*path, name)))]
        case YamlList(items=items):
            return [pair for i, item in enumerate(items) for pair in _mappings(item, (*path, i))]
    return []


def _existing(loc: Path, lines: Mapping[Path, int]) -> Path:
    """The place in the file that a model's place stands for: without what only the model knows, such as kinds."""
    path: Path = ()
    for i, part in enumerate(loc):
        if (*path, part) in lines or i == len(loc) - 1:
            path = (*path, part)
    return path


def _line(path: Path, lines: Mapping[Path, int]) -> int:
    """The line of a place, or of what it should have been in."""
    while path not in lines:
        path = path[:-1]
    return lines[path]


def _message(wrong: Any, path: Path) -> str:
    name = str(path[-1]) if path else "file"
    where = f"`{name}`: " if isinstance(path[-1] if path else "", str) else ""
    match wrong["type"]:
        case "extra_forbidden":
            close = get_close_matches(name, _NAMES, 1)
            hint = f"do you mean `{close[0]}`?" if close else "leave it out"
            return f"there is no field `{name}` here: {hint}"
        case "missing":
            return f"`{name}` is missing: write it"
        case "union_tag_not_found":
            return "`kind` is missing: write threshold, change, sequential, silence or health"
        case "union_tag_invalid":
            return f"`kind` {wrong['ctx']['tag']!r} is none of {wrong['ctx']['expected_tags']}"
    said = validation_message(wrong)
    given = (
        f" (it says {wrong['input']!r})" if isinstance(wrong["input"], str) and repr(wrong["input"]) not in said else ""
    )
    return f"{where}{said}{given}"
