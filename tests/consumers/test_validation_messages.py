"""Validation errors as instructions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.functional_validators import AfterValidator

from consumers.validation_messages import validation_message


def reject(_: str) -> str:
    raise ValueError("'x' is no such thing: write y")


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (int, "x", "write a whole number"),
        (float, "x", "write a number"),
        (bool, "perhaps", "write true or false"),
        (Annotated[int, Field(ge=1)], 0, "it must be at least 1"),
        (Annotated[int, Field(multiple_of=1000)], 1500, "it must be a multiple of 1000"),
        (Annotated[float, Field(gt=0.5)], 0, "it must be more than 0.5"),
        (Annotated[int, Field(le=65535)], 70000, "it must be at most 65535"),
        (Literal["wall", "event"], "x", "write one of wall or event"),
        (Annotated[str, Field(pattern="^[A-Z]{3}$")], "yuan", "it must match ^[A-Z]{3}$"),
        (Annotated[str, Field(min_length=1)], "", "it must have at least 1 characters"),
        (Annotated[str, AfterValidator(reject)], "x", "'x' is no such thing: write y"),
    ],
)
def test_pydantics_errors_become_instructions(kind: Any, given: object, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(given)
    assert validation_message(caught.value.errors()[0]) == message
