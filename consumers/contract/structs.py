"""msgspec structs derived from the pydantic models of the contract.

Decoding JSON directly into a struct checks types without coercion, lengths, ranges and required fields;
`consumers.contract.decoding` checks everything else (an order's amount, fields that one type requires). An empty
optional label stays "" in the struct, and means absent.
"""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import BaseModel, FailFast, Strict, WithJsonSchema

from consumers.contract.events import DROPPABLE, MAX_LABEL


def struct_from_model(model: type[BaseModel], *, long_labels: bool = False) -> type[msgspec.Struct]:
    """A frozen struct with the model's fields, by their names in JSON, in order, with types and limits.

    Absent or null optional fields are None. `long_labels`: accept optional labels of any length, for the decoder to
    drop them. Raises TypeError for an annotation that has no exact equivalent.
    """
    hints = get_type_hints(model, include_extras=True)
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for name, field in model.model_fields.items():
        annotation, name_in_json = _translate(hints[name], long_labels), field.alias or name
        fields.append((name_in_json, annotation) if field.is_required() else (name_in_json, annotation, None))
    # gc=False: events have no cycles, so the garbage collector need not traverse large batches.
    return msgspec.defstruct(model.__name__, fields, frozen=True, kw_only=True, gc=False)


def _translate(annotation: Any, long_labels: bool) -> Any:
    origin = get_origin(annotation)
    if annotation in (str, int, bool, NoneType) or origin is Literal:
        return annotation
    if origin is Annotated:
        base, *constraints = get_args(annotation)
        return Annotated[_translate(base, long_labels), msgspec.Meta(**_limits(constraints, long_labels))]
    if origin in (Union, UnionType):
        return Union[tuple(_translate(arg, long_labels) for arg in get_args(annotation))]  # noqa: UP007 (the members are computed)
    if origin is tuple and get_args(annotation)[1:] == (...,):
        return tuple[_translate(get_args(annotation)[0], long_labels), ...]  # type: ignore[misc]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return struct_from_model(annotation, long_labels=long_labels)
    raise TypeError(f"no msgspec equivalent for {annotation!r}: add one to consumers/contract/structs.py")


def _limits(constraints: list[Any], long_labels: bool) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    for constraint in constraints:
        match constraint:
            case Ge(ge=bound):
                limits["ge"] = bound
            case Le(le=bound):
                limits["le"] = bound
            case MinLen(min_length=bound):
                limits["min_length"] = bound
            case MaxLen(max_length=bound):
                limits["max_length"] = bound
            case _ if constraint is DROPPABLE:
                if not long_labels:
                    limits["max_length"] = MAX_LABEL
            case Strict() | FailFast() | WithJsonSchema():
                pass  # msgspec never coerces, and always stops at the first fault
            case _:
                raise TypeError(
                    f"no msgspec equivalent for the limit {constraint!r}: add one to consumers/contract/structs.py"
                )
    return limits
