"""Silences: which alerts notify no receiver, and when."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import re2

from alerts.state.weekly import WeeklyInterval

ANY_PROMOTION = "*"
_RE2_OPTIONS = re2.Options()
_RE2_OPTIONS.log_errors = False


class MatchType(StrEnum):
    """How a matcher compares, as in Alertmanager."""

    EQUAL = "="
    NOT_EQUAL = "!="
    REGEXP = "=~"
    """The whole label value matches the regular expression (RE2, as in Alertmanager: its time is linear)."""
    NOT_REGEXP = "!~"


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on one label. A missing label equals the empty string."""

    label: str
    match_type: MatchType
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert's labels meet the condition."""
        value = labels.get(self.label, "")
        match self.match_type:
            case MatchType.EQUAL:
                return value == self.value
            case MatchType.NOT_EQUAL:
                return value != self.value
            case MatchType.REGEXP:
                return re2.fullmatch(self.value, value) is not None
            case MatchType.NOT_REGEXP:
                return re2.fullmatch(self.value, value) is None

    def __str__(self) -> str:
        return f"{self.label}{self.match_type}{self.value}"

    @classmethod
    def parse(cls, text: str) -> Matcher:
        """The matcher that `str` wrote.

        >>> Matcher.parse("rule=order_silence"), Matcher.parse("channel!~live.*").matches({"channel": "app"})
        (Matcher(label='rule', match_type=<MatchType.EQUAL: '='>, value='order_silence'), True)

        Raises:
            ValueError: it is no matcher, or its value is no regular expression.
        """
        found = re.fullmatch(r"([^=!~]+)(!=|!~|=~|=)(.*)", text, re.DOTALL)
        if found is None:
            raise ValueError(f"{text!r} is no matcher: write label=value, label!=value, label=~regex or label!~regex")
        label, match_type, value = found[1].strip(), MatchType(found[2]), found[3].strip()
        if match_type in (MatchType.REGEXP, MatchType.NOT_REGEXP):
            try:
                re2.compile(value, _RE2_OPTIONS)
            except re2.error as error:
                raise ValueError(f"{text!r}: {value!r} is no regular expression: {error.args[0].decode()}") from None
        return cls(label, match_type, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Suppresses notifications of the alerts that meet all matchers.

    It is active within `[starts_ms, ends_ms)`, and there only while its promotion runs and in its weekly hours, if it
    has any.
    """

    id: str
    matchers: tuple[Matcher, ...]
    """All must match; never empty."""
    starts_ms: int
    ends_ms: int
    promotion: str | None = None
    """Promotion id, or `*` for any; None: independent of promotions."""
    weekly: WeeklyInterval | None = None
    by: str = ""
    comment: str = ""
    created_ms: int = 0

    def is_active(self, now_ms: int, running: Collection[str]) -> bool:
        """Whether it is active at a moment (epoch ms); `running`: ids of the promotions that run then."""
        if not self.starts_ms <= now_ms < self.ends_ms:
            return False
        if self.promotion == ANY_PROMOTION:
            if not running:
                return False
        elif self.promotion is not None and self.promotion not in running:
            return False
        return self.weekly is None or self.weekly.covers(now_ms)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether all matchers match these labels."""
        return all(matcher.matches(labels) for matcher in self.matchers)


def find_silence(
    silences: Iterable[Silence], labels: Mapping[str, str], now_ms: int, running: Collection[str]
) -> Silence | None:
    """The active silence that matches; of several, the one that ends last."""
    found = [one for one in silences if one.is_active(now_ms, running) and one.matches(labels)]
    return max(found, key=lambda one: (one.ends_ms, one.id), default=None)
