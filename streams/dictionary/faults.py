"""Faults of names in a file of a model."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches


class UnfitError(Exception):
    """An entry that does not fit."""

    def __init__(self, message: str, *at: str | int) -> None:
        super().__init__(message)
        self.at = at
        """Path of the fault inside the entry."""


class DependentError(Exception):
    """An entry that names another one with a fault, which is reported there."""


def near_miss(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: what was probably meant."""
    close = get_close_matches(name, list(known), 1)
    return f": do you mean `{close[0]}`?" if close else ""


def joined(names: Collection[str]) -> str:
    """Names in a message.

    >>> joined(["a", "b", "c"])
    '`a`, `b` and `c`'
    """
    *first, last = (f"`{name}`" for name in names)
    return f"{', '.join(first)} and {last}" if first else last
