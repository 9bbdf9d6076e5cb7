"""Silences: which alerts nobody is told of, and when."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from alerts.state.weekly import WeeklyInterval

ANY_PROMOTION = "*"


class MatchType(StrEnum):
    """How a matcher compares."""

    EQUAL = "="
    NOT_EQUAL = "!="
    REGEXP = "~"
    """The value is a pattern: `*` stands for any text, `?` for one character."""
    NOT_REGEXP = "!~"


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on one label. A label that an alert does not have is empty."""

    label: str
    match_type: MatchType
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert's labels meet it."""
        held = labels.get(self.label, "")
        match self.match_type:
            case MatchType.EQUAL:
                return held == self.value
            case MatchType.NOT_EQUAL:
                return held != self.value
            case MatchType.REGEXP:
                return fnmatchcase(held, self._pattern)
            case MatchType.NOT_REGEXP:
                return not fnmatchcase(held, self._pattern)

    @property
    def _pattern(self) -> str:
        return self.value.replace("[", "[[]")  # a bracket stands for itself

    def __str__(self) -> str:
        return f"{self.label}{self.match_type}{self.value}"

    @classmethod
    def parse(cls, text: str) -> Matcher:
        """From how `str` writes it; ValueError if it is none.

        >>> Matcher.parse("rule=order_silence"), Matcher.parse("channel!~live*").matches({"channel": "app"})
        (Matcher(label='rule', matching=<Matching.IS: '='>, value='order_silence'), True)
        """
        for at, character in enumerate(text):
            for match_type in (MatchType.NOT_EQUAL, MatchType.NOT_REGEXP, MatchType.EQUAL, MatchType.REGEXP):
                if character in "=~!" and text.startswith(match_type.value, at) and at > 0:
                    return cls(text[:at].strip(), match_type, text[at + len(match_type.value) :].strip())
        raise ValueError(f"{text!r} is no matcher: write label=value, label!=value, label~pattern or label!~pattern")


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Nobody is told of the alerts that meet all matchers, while it holds.

    It holds within `[starts_ms, ends_ms)`, and of that only while its promotion runs and in its weekly hours, where it
    names any.
    """

    id: str
    matchers: tuple[Matcher, ...]
    """All must match; never empty."""
    starts_ms: int
    ends_ms: int
    promotion: str | None = None
    """A promotion's id, or `*` for any; None: whether or not one runs."""
    weekly: WeeklyInterval | None = None
    by: str = ""
    comment: str = ""
    created_ms: int = 0

    def is_active(self, now_ms: int, running: Collection[str]) -> bool:
        """Whether it holds at a moment, epoch ms; `running`: the ids of the promotions that run then."""
        if not self.starts_ms <= now_ms < self.ends_ms:
            return False
        if self.promotion == ANY_PROMOTION:
            if not running:
                return False
        elif self.promotion is not None and self.promotion not in running:
            return False
        return self.weekly is None or self.weekly.covers(now_ms)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether it is about an alert with these labels."""
        return all(matcher.matches(labels) for matcher in self.matchers)


def find_silence(
    silences: Iterable[Silence], labels: Mapping[str, str], now_ms: int, running: Collection[str]
) -> Silence | None:
    """The silence that an alert is under, the one that ends last where there are several."""
    found = [one for one in silences if one.is_active(now_ms, running) and one.matches(labels)]
    return max(found, key=lambda one: (one.ends_ms, one.id), default=None)
