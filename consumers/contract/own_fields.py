"""The types of fields, for those that a shop adds to the contract's."""

from __future__ import annotations

from enum import StrEnum


class FieldType(StrEnum):
    """What a field holds. Every field of a shop's own is optional."""

    LABEL = "label"
    """A text of 1 to 128 characters."""
    FLAG = "flag"
    """true or false; absent is false."""
    COUNT = "count"
    """A whole number from 0 to 10^9."""
    MONEY = "money"
    """A whole number of minor units (cents, fen) from 0 to 10^15."""
    MILLISECONDS = "milliseconds"
    """A whole number from 0 on."""
