"""Pydantic's validation errors as instructions in the style of all messages."""

from __future__ import annotations

from pydantic_core import ErrorDetails

_MESSAGES = {
    "missing": "it is missing: add it",
    "extra_forbidden": "there is no such field: remove it",
    "int_parsing": "write a whole number",
    "int_type": "write a whole number",
    "int_from_float": "write a whole number",
    "int_parsing_size": "it is too large",
    "float_parsing": "write a number",
    "float_type": "write a number",
    "finite_number": "write a finite number",
    "bool_parsing": "write true or false",
    "bool_type": "write true or false",
    "string_type": "write text",
    "list_type": "write a list",
    "tuple_type": "write a list",
    "dict_type": "write fields as `name: value`",
    "model_type": "write fields as `name: value`",
    "json_invalid": "it is not valid JSON",
    "greater_than": "it must be more than {gt}",
    "greater_than_equal": "it must be at least {ge}",
    "less_than": "it must be less than {lt}",
    "less_than_equal": "it must be at most {le}",
    "multiple_of": "it must be a multiple of {multiple_of}",
    "path_type": "write a path",
    "model_attributes_type": "write fields as `name: value`",
    "enum": "write one of {expected}",
    "literal_error": "write one of {expected}",
    "union_tag_not_found": "`{discriminator}` is missing: add it",
    "union_tag_invalid": "`{discriminator}` {tag} is not one of {expected_tags}",
    "string_pattern_mismatch": "it must match {pattern}",
    "string_too_short": "it must have at least {min_length} characters",
    "string_too_long": "it must have at most {max_length} characters",
    "too_short": "it must have at least {min_length} entries",
    "too_long": "it must have at most {max_length} entries",
}


def validation_message(wrong: ErrorDetails) -> str:
    """The message for an error, without the field's name. Messages of salepulse's own validators are kept as they are.

    >>> from pydantic import TypeAdapter, ValidationError
    >>> try:
    ...     TypeAdapter(int).validate_python("x")
    ... except ValidationError as error:
    ...     validation_message(error.errors()[0])
    'write a whole number'
    """
    context = {name: str(value).replace("'", "") for name, value in wrong.get("ctx", {}).items()}
    template = _MESSAGES.get(wrong["type"])
    return wrong["msg"].removeprefix("Value error, ") if template is None else template.format(**context)


def how_many(count: int, thing: str) -> str:
    """A count with its noun.

    >>> how_many(1, "rule"), how_many(0, "rule"), how_many(1200, "rule")
    ('1 rule', '0 rules', '1,200 rules')
    """
    return f"{count:,} {thing}" + "s" * (count != 1)
