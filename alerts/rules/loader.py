"""Load rules and reload changed files; after an error, the last valid rules stay in force."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from alerts.rules.file import read_rules
from alerts.rules.rule import Rules
from consumers.errors import UsageError
from consumers.promotions.yaml_lines import FileError

DEFAULT = "default.yaml"


class RulesError(UsageError):
    """An invalid rule file; the message lists all errors with their lines."""


@dataclass(frozen=True, slots=True)
class LoadedRules:
    """The rules in force."""

    rules: Rules
    version: str
    """Digest of their text."""
    errors: tuple[FileError, ...] = ()
    """Errors of the latest text, which is not in force."""


def default_text() -> str:
    """The default rules."""
    return files("alerts.rules").joinpath(DEFAULT).read_text(encoding="utf-8")


def load(text: str, name: str) -> LoadedRules:
    """Parse rules; raise RulesError with all errors."""
    rule_file = read_rules(text)
    if rule_file.rules is None:
        raise RulesError("\n".join(format_errors(rule_file.errors, name)))
    return LoadedRules(rule_file.rules, _version(text))


def format_errors(errors: tuple[FileError, ...], name: str) -> list[str]:
    """Format errors as `file:line: message`."""
    return [f"{name}:{error.line}: {error.message}" for error in errors]


class RuleLoader:
    """The rules of one file, or the default rules. `refresh` is cheap if the file is unchanged."""

    def __init__(self, path: Path | None) -> None:
        """Raises RulesError if the file is missing or invalid."""
        self._path = path
        self._name = DEFAULT if path is None else str(path)
        self._stamp = self._stamped()
        self.loaded = load(self._text(), self._name)

    def refresh(self) -> bool:
        """Reload a changed file; return whether rules or errors have changed."""
        stamp = self._stamped()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        before = self.loaded
        try:
            text = self._text()
        except RulesError as error:
            self.loaded = LoadedRules(before.rules, before.version, (FileError(1, str(error)),))
            return self.loaded != before
        rule_file = read_rules(text)
        if rule_file.rules is None:
            self.loaded = LoadedRules(before.rules, before.version, rule_file.errors)
        else:
            self.loaded = LoadedRules(rule_file.rules, _version(text))
        return self.loaded != before

    def _stamped(self) -> tuple[int, int] | None:
        """A value that changes with the file; None: the file is missing."""
        if self._path is None:
            return (0, 0)
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ino ^ stat.st_size

    def _text(self) -> str:
        if self._path is None:
            return default_text()
        try:
            return self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RulesError(f"{self._name}: cannot be read: {error}") from None


def _version(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
