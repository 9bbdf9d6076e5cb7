"""The structs that hold only the fields of a message that maps use.

msgspec decodes JSON straight into them and skips everything else. A message with another shape, such as a text in place
of an object, is a ValidationError.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec

from consumers.sources.file import HEADER_PREFIX, Conditions, EventMap, FieldMap
from consumers.sources.paths import MessagePath, parse_path

NEVER = Annotated[int, msgspec.Meta(gt=0, lt=1)]
"""The type of a field that must be absent: no value has it."""


class NotPickedError(Exception):
    """A map uses a message in a way that the structs do not cover. Caught inside this package."""


@dataclass(slots=True)
class PickedField:
    """A field of a message, or of an object in it."""

    inner: dict[str, PickedField] = field(default_factory=dict)
    """The fields of its object that are used."""
    entry: PickedField | None = None
    """The fields of the objects in its list, if `each` names it."""
    is_used: bool = False
    """Whether its value itself is used, or entries of its list by position."""
    attribute: str = ""
    """Its name in the struct."""
    struct: type[msgspec.Struct] | None = None
    """Of its object or the message; of an entry in `entry`."""

    @property
    def is_plain(self) -> bool:
        """Whether it is decoded as it is, not as a struct or a list of structs."""
        return self.is_used or (bool(self.inner) and self.entry is not None)

    def add(self, path: MessagePath) -> PickedField:
        """Use the field that a path names, as far as it consists of names."""
        if not path.steps:
            raise NotPickedError
        found = self
        for step in path.steps:
            if not isinstance(step, str):
                break
            found = found.inner.setdefault(step, PickedField())
        if found is self:
            raise NotPickedError
        return found

    def define(self, absent: Iterable[str] = ()) -> type[msgspec.Struct]:
        """Define the struct of its object. `absent`: names that the object must not have."""
        names: dict[str, str] = {}
        fields: list[tuple[str, Any, Any]] = []
        for number, (name, inner) in enumerate(self.inner.items()):
            inner.attribute = f"f{number}"
            names[inner.attribute] = name
            fields.append((inner.attribute, NEVER if name in absent else _type_of(inner), None))
        for number, name in enumerate(set(absent) - self.inner.keys()):
            names[f"a{number}"] = name
            fields.append((f"a{number}", NEVER, None))
        # gc=False: they are read once, and have no cycles.
        self.struct = msgspec.defstruct("Picked", fields, rename=names, gc=False)
        return self.struct


def _type_of(found: PickedField) -> Any:
    entry = None if found.entry is None else found.entry.define()
    struct = found.define()
    if found.is_plain:
        return Any
    return (struct if entry is None else list[entry]) | None  # type: ignore[valid-type]  # defined at run time


def pick_fields(events: Sequence[EventMap]) -> PickedField:
    """The message with the fields that events use. Raises NotPickedError."""
    root = PickedField()
    for event in events:
        if event.each is not None:
            raise NotPickedError
        _use_conditions(event.when, root, root)
        for mapped in event.fields.values():
            _use(mapped, root, root)
    root.define()
    return root


def _use(mapped: FieldMap, entry: PickedField, root: PickedField) -> None:
    """Add what a field map uses of an entry of `each`, or of the message."""
    if mapped.path is not None:
        _use_path(mapped.path, entry, root)
    for part in (*(mapped.join or ()), *(mapped.or_ or ())):
        _use(part, entry, root)
    if mapped.each is None:
        return
    path = parse_path(mapped.each)
    if not all(isinstance(step, str) for step in path.steps):
        raise NotPickedError
    entries = (root if path.from_message else entry).add(path)
    if entries.entry is None:
        entries.entry = PickedField()
    _use_conditions(mapped.when, entries.entry, root)
    for inner in (mapped.fields or {}).values():
        _use(inner, entries.entry, root)
    if mapped.sum is not None:
        _use(mapped.sum, entries.entry, root)


def _use_conditions(conditions: Conditions | None, entry: PickedField, root: PickedField) -> None:
    for path, condition in (conditions or {}).items():
        if not path.startswith(HEADER_PREFIX):
            _use_path(path, entry, root)
        if condition.of is not None:
            _use_path(condition.of, entry, root)


def _use_path(text: str, entry: PickedField, root: PickedField) -> None:
    path = parse_path(text)
    (root if path.from_message else entry).add(path).is_used = True
