"""What an examination finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CheckLevel(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """Counting is right; something may become a problem, or is unusual."""
    WRONG = "wrong"
    """Counting or watching stands still, or counts are incomplete or may be lost."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing that was looked at."""

    what: str
    """What was looked at, in a word or two."""
    level: CheckLevel
    found: str
    mend: str = ""
    """What to do; empty where all is well."""


def ok(what: str, found: str) -> CheckResult:
    return CheckResult(what, CheckLevel.OK, found)


def warning(what: str, found: str, mend: str) -> CheckResult:
    return CheckResult(what, CheckLevel.WARNING, found, mend)


def wrong(what: str, found: str, mend: str) -> CheckResult:
    return CheckResult(what, CheckLevel.WRONG, found, mend)
