"""What an examination finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """Counting is right; something may become a problem, or is unusual."""
    WRONG = "wrong"
    """Counting or watching stands still, or counts are incomplete or may be lost."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    """What was looked at, in a word or two."""
    level: Level
    found: str
    mend: str = ""
    """What to do; empty where all is well."""


def ok(what: str, found: str) -> Finding:
    return Finding(what, Level.OK, found)


def warning(what: str, found: str, mend: str) -> Finding:
    return Finding(what, Level.WARNING, found, mend)


def wrong(what: str, found: str, mend: str) -> Finding:
    return Finding(what, Level.WRONG, found, mend)
