"""Results of checks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CheckStatus(StrEnum):
    """Severity of a result."""

    OK = "ok"
    WARNING = "warning"
    """Counts are exact; something is unusual or may become a problem."""
    ERROR = "error"
    """Counting or alerting does not work, or counts are incomplete or may be lost."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Result of one check."""

    check: str
    """Name of the check, one or two words."""
    status: CheckStatus
    message: str
    fix: str = ""
    """Empty if the status is ok."""


def ok(check: str, message: str) -> CheckResult:
    """A passed check."""
    return CheckResult(check, CheckStatus.OK, message)


def warning(check: str, message: str, fix: str) -> CheckResult:
    """A check with a warning, and its fix."""
    return CheckResult(check, CheckStatus.WARNING, message, fix)


def failed(check: str, message: str, fix: str) -> CheckResult:
    """A failed check, and its fix."""
    return CheckResult(check, CheckStatus.ERROR, message, fix)
