"""Source, docs and messages use plain English and the terms of the field, and none of the words listed here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
FOLDERS = ("consumers", "streams", "alerts", "deploy", "docs", "tests")
SUFFIXES = {".py", ".lua", ".js", ".html", ".css", ".md", ".yaml", ".yml", ".sh", ".toml"}

BANNED = {
    "told": "notified, reported",
    "said": "reported, stated",
    "anew": "again, from scratch",
    "mend": "fix",
    "bury": "send to the dead-letter topic",
    "buries": "sends to the dead-letter topic",
    "buried": "sent to the dead-letter topic",
    "comes to": "is, results in",
    "stands": "is; `stands for` is fine",
    "goes on": "continues",
    "makes up": "generates, invents",
    "lets in": "admits",
    "news": "changes, updates",
    "nobody": "no one, or the subject that does not",
}
"""{word or phrase: write instead}."""

FORMER_NAMES = {
    "alerts/store/codec.py": "reads alerts that earlier versions stored under these names",
    "alerts/memory.py": "reads evaluation memory that earlier versions stored under these names",
    "tests/alerts/store/test_codec.py": "tests that those names are read",
}
"""Files that must use banned words, and why."""

_BANNED = re.compile(
    r"(?<![a-z])(" + "|".join(word.replace(" ", r"\s+") for word in BANNED) + r")(?![a-z])(?!\s+for\b)", re.IGNORECASE
)


def texts() -> Iterator[tuple[str, str]]:
    """(path, text) of every file that is written by hand."""
    for path in sorted(
        [*REPOSITORY.glob("*.md"), *(path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*"))]
    ):
        name = str(path.relative_to(REPOSITORY))
        if path.suffix in SUFFIXES and name not in {"tests/test_language.py", *FORMER_NAMES}:
            yield name, written_text(name, path.read_text(encoding="utf-8"))


def written_text(name: str, text: str) -> str:
    """The text without the list of old names in the changelog."""
    return re.sub(r"(?ms)^### Renamed$.*?(?=^##|\Z)", "", text) if name == "CHANGELOG.md" else text


def banned_words(text: str) -> list[str]:
    """`line: word (write …)` of each banned word."""
    found = []
    for match in _BANNED.finditer(text):
        word = " ".join(match[0].lower().split())
        found.append(f"line {text.count(chr(10), 0, match.start()) + 1}: {match[0]!r} (write {BANNED[word]})")
    return found


def test_no_file_uses_a_banned_word() -> None:
    found = {name: words for name, text in texts() if (words := banned_words(text))}
    assert found == {}


def test_banned_words_are_found_in_prose_and_in_names() -> None:
    assert banned_words("It was\ntold; what goes\non?") == [
        "line 2: 'told' (write notified, reported)",
        "line 2: 'goes\\non' (write continues)",
    ]
    assert banned_words("alerts_told said_ms newsletter amend withstands, stands for") == [
        "line 1: 'told' (write notified, reported)",
        "line 1: 'said' (write reported, stated)",
    ]


def test_old_names_in_the_changelog_are_not_checked() -> None:
    text = "### Added\n\n- a\n\n### Renamed\n\n- told -> notified\n\n### Changed\n\n- b\n"
    assert written_text("CHANGELOG.md", text) == "### Added\n\n- a\n\n### Changed\n\n- b\n"
