"""YAML files as pydantic models, with the line of every error. Rules, receivers and sources are read this way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from consumers.promotions.yaml_lines import (
    FileError,
    YamlError,
    YamlList,
    YamlMapping,
    YamlNode,
    YamlNull,
    YamlPath,
    YamlScalar,
    nearest_line,
    parse_yaml,
    walk_lines,
)
from consumers.validation_messages import validation_message

Model = TypeVar("Model", bound=BaseModel)
ModelFault = tuple[YamlPath, str]
"""The path of a fault, and its message."""


class YamlModelError(Exception):
    """The file does not fit the model."""

    def __init__(self, errors: Iterable[FileError]) -> None:
        self.errors = tuple(sorted(dict.fromkeys(errors), key=lambda error: error.line))
        super().__init__("\n".join(f"{error.line}: {error.message}" for error in self.errors))


def read_model(
    text: str,
    model: type[Model],
    *,
    items: str = "",
    show_values: bool = True,
    entries: Mapping[str, str] | None = None,
    check: Callable[[Model], Iterable[ModelFault]] | None = None,
) -> Model:
    """Validate a YAML file.

    Scalars reach the model as written. `items` is the list whose entries have unique names; empty: `check` sees to
    that. Without `show_values`, errors never contain a value, which may be a secret. An empty entry of the mappings in
    `entries` is an error: # <mapping: what to write instead>. `check` finds the faults of a valid model that no single
    field has.

    Raises:
        YamlModelError: all errors, with their lines.
    """
    try:
        root = parse_yaml(text)
    except YamlError as error:
        raise YamlModelError([FileError(error.line, str(error))]) from None
    if isinstance(root, YamlNull):
        root = YamlMapping(1, {}, {})
    if not isinstance(root, YamlMapping):
        fix = f"write a list under `{items}:`" if items else "write `version: 1`"
        raise YamlModelError([FileError(root.line, f"no mapping: {fix}")])
    faults = [*_repeated_names(root, items), *_empty_entries(root, entries or {})]
    try:
        value = model.model_validate(_plain(root))
    except ValidationError as error:
        lines = _lines(root)
        for details in error.errors(include_url=False, include_input=show_values):
            path = _path_in_file(tuple(details["loc"]), lines)
            faults.append(FileError(nearest_line(lines, path), _message(details, path, model)))
        raise YamlModelError(faults) from None
    if check is not None and (found := list(check(value))):
        lines = _lines(root)
        faults += (FileError(nearest_line(lines, path), message) for path, message in found)
    if faults:
        raise YamlModelError(faults)
    return value


def _plain(node: YamlNode) -> Any:
    """The values for pydantic; an empty field counts as missing."""
    match node:
        case YamlMapping(values=values):
            return {name: _plain(value) for name, value in values.items() if not isinstance(value, YamlNull)}
        case YamlList(items=items):
            return [_plain(item) for item in items]
        case YamlScalar(text=text):
            return text
    return None


def _lines(root: YamlMapping) -> dict[YamlPath, int]:
    """The line of every value; of a field, the line of its name."""
    lines = dict(walk_lines(root))
    lines.update({(*path, name): line for path, fields in _mappings(root) for name, line in fields.lines.items()})
    return lines


def _mappings(node: YamlNode, path: YamlPath = ()) -> Iterator[tuple[YamlPath, YamlMapping]]:
    match node:
        case YamlMapping(values=values):
            yield path, node
            for name, value in values.items():
                yield from _mappings(value, (*path, name))
        case YamlList(items=items):
            for i, item in enumerate(items):
                yield from _mappings(item, (*path, i))


def _empty_entries(root: YamlMapping, entries: Mapping[str, str]) -> Iterator[FileError]:
    for path, mapping in _mappings(root):
        if path and (fix := entries.get(str(path[-1]))):
            for name, value in mapping.values.items():
                if isinstance(value, YamlNull):
                    yield FileError(mapping.lines[name], f"`{path[-1]}`: `{name}` is empty: {fix}")


def _repeated_names(root: YamlMapping, items: str) -> Iterator[FileError]:
    seen: dict[str, int] = {}
    items_node = root.values.get(items)
    for item in items_node.items if isinstance(items_node, YamlList) else ():
        name = item.values.get("name") if isinstance(item, YamlMapping) else None
        if not isinstance(name, YamlScalar):
            continue
        if name.text in seen:
            described = f"{items.removesuffix('s')} {name.text!r}"
            yield FileError(
                name.line, f"{described} is defined twice, first in line {seen[name.text]}: rename or remove one"
            )
        seen.setdefault(name.text, name.line)


def _path_in_file(location: YamlPath, lines: Mapping[YamlPath, int]) -> YamlPath:
    """The location without parts that only the model has, such as the tag of a union."""
    path: YamlPath = ()
    for i, part in enumerate(location):
        if (*path, part) in lines or i == len(location) - 1:
            path = (*path, part)
    return path


def _fields_at(model: type[BaseModel], location: YamlPath) -> list[str]:
    """The fields that the mapping at a location of pydantic can have."""
    models = [model]
    for part in location:
        if isinstance(part, int):
            continue
        fields = [field for each in models for name, field in each.model_fields.items() if part in (field.alias, name)]
        if fields:
            models = [inner for field in fields for inner in _models_in(field.annotation)]
        else:  # the tag of a union
            models = [each for each in models if part in _literals(each)] or models
    return list(dict.fromkeys(field.alias or name for each in models for name, field in each.model_fields.items()))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _literals(model: type[BaseModel]) -> list[Any]:
    annotations = [field.annotation for field in model.model_fields.values()]
    return [text for annotation in annotations if get_origin(annotation) is Literal for text in get_args(annotation)]


def _message(details: ErrorDetails, path: YamlPath, model: type[BaseModel]) -> str:
    name = path[-1] if path else ""
    if name == "[key]":  # pydantic's name for an invalid key
        name = path[-2]
    message = validation_message(details)
    match details["type"]:
        case "extra_forbidden":
            fields = _fields_at(model, tuple(details["loc"][:-1]))
            close = get_close_matches(str(name), fields, 1)
            hint = f"do you mean `{close[0]}`?" if close else f"remove it, or use {', '.join(fields)}"
            return f"there is no field `{name}` here: {hint}"
        case "missing":
            return f"`{name}` is missing: add it"
        case "union_tag_not_found" | "union_tag_invalid":
            return message
    where = f"`{name}`: " if name and isinstance(name, str) else ""
    value = details.get("input")
    given = f" (found {value!r})" if isinstance(value, str) and repr(value) not in message else ""
    return f"{where}{message}{given}"
