"""Faults in YAML files: fields that a place does not have."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from consumers.yaml_models import YamlModelError, read_model


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Hook(Strict):
    type: Literal["webhook"]
    name: str
    secret: str = ""


class Mail(Strict):
    type: Literal["mail"]
    name: str
    password: str = ""


class Route(Strict):
    to: str = ""
    repeat_every: str = Field("", alias="repeat")


class Example(Strict):
    receivers: list[Annotated[Hook | Mail, Field(discriminator="type")]] = Field(default_factory=list)
    routes: tuple[Route, ...] = ()
    by_name: dict[str, Route] = Field(default_factory=dict)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("recievers: []", "there is no field `recievers` here: do you mean `receivers`?"),
        ("routes: [{receivers: x}]", "there is no field `receivers` here: remove it, or use to, repeat"),
        ("routes: [{repeat_evry: x}]", "there is no field `repeat_evry` here: do you mean `repeat`?"),
        ("by_name: {a: {too: x}}", "there is no field `too` here: do you mean `to`?"),
        ("receivers: [{type: webhook, name: a, secre: x}]", "do you mean `secret`?"),
        ("receivers: [{type: webhook, name: a, pasword: x}]", "remove it, or use type, name, secret"),
        ("receivers: [{type: mail, name: a, pasword: x}]", "do you mean `password`?"),
    ],
)
def test_an_unknown_field_is_compared_with_the_fields_of_its_place(text: str, fault: str) -> None:
    with pytest.raises(YamlModelError) as raised:
        read_model(text, Example, items="receivers")
    assert fault in str(raised.value)
