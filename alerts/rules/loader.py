"""Rules that follow their files: read anew when they change; a file with faults keeps the last good rules."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from alerts.rules.file import read_rules
from alerts.rules.rule import Rules
from consumers.errors import UsageError
from consumers.promotions.definition import FileError

DEFAULT = "default.yaml"


class RulesError(UsageError):
    """A rule file that cannot be used at all; the message lists what to change, with lines."""


@dataclass(frozen=True, slots=True)
class LoadedRules:
    """The rules in force."""

    rules: Rules
    version: str
    """A digest of the text they come from: other rules, other version."""
    errors: tuple[FileError, ...] = ()
    """Why the newest text is not in force; none when it is."""


def default_text() -> str:
    """The pack that is in force where no file is given."""
    return files("alerts.rules").joinpath(DEFAULT).read_text(encoding="utf-8")


def load(text: str, name: str) -> LoadedRules:
    """Rules from text; RulesError with every fault."""
    read = read_rules(text)
    if read.rules is None:
        raise RulesError("\n".join(format_errors(read.errors, name)))
    return LoadedRules(read.rules, _version(text))


def format_errors(errors: tuple[FileError, ...], name: str) -> list[str]:
    """Faults as `file:line: message`."""
    return [f"{name}:{fault.line}: {fault.message}" for fault in errors]


class RuleLoader:
    """Follows one file, or holds the default pack. Ask `refresh` as often as you like: it reads what has changed."""

    def __init__(self, path: Path | None) -> None:
        """Raises RulesError where the file cannot be used or read: without any rules there is nothing to keep."""
        self._path = path
        self._name = DEFAULT if path is None else str(path)
        self._stamp = self._stamped()
        self.loaded = load(self._text(), self._name)

    def refresh(self) -> bool:
        """Look at the file again; returns whether anything is different, be it rules or faults."""
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
        read = read_rules(text)
        if read.rules is None:
            self.loaded = LoadedRules(before.rules, before.version, read.errors)
        else:
            self.loaded = LoadedRules(read.rules, _version(text))
        return self.loaded != before

    def _stamped(self) -> tuple[int, int] | None:
        """What changes when the file does; None while it is not there."""
        if self._path is None:
            return (0, 0)
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino ^ found.st_size

    def _text(self) -> str:
        if self._path is None:
            return default_text()
        try:
            return self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RulesError(f"{self._name}: cannot be read: {error}") from None


def _version(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
