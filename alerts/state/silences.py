"""Silences, their matchers and weekly hours: which alerts notify no receiver, and when."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from zoneinfo import ZoneInfo

import re2

from alerts.findings import Category, Severity
from streams.dictionary.names import ALL
from streams.panes.scopes import SCOPES, SourceDimension

MINUTES_A_DAY = 24 * 60
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True, kw_only=True)
class WeeklyInterval:
    """A daily interval on some weekdays, in local time of a time zone.

    An end at or before the start is on the next day. `days` are those on which the interval starts; 0 is Monday. When
    clocks are set back, both occurrences of an hour belong to it.
    """

    days: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)
    start_minute: int
    """Minutes after midnight."""
    end_minute: int
    """Minutes after midnight, exclusive. Equal to the start: a whole day."""
    timezone: str = "UTC"

    def __str__(self) -> str:
        days = " ".join(DAYS[day] for day in self.days)
        start, end = (f"{minute // 60:02d}:{minute % 60:02d}" for minute in (self.start_minute, self.end_minute))
        return f"{days} {start}-{end} {self.timezone}"

    def covers(self, at_ms: int) -> bool:
        """Whether a moment (epoch ms) is inside the interval."""
        local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(self.timezone))
        minute = local.hour * 60 + local.minute
        today, yesterday = local.weekday(), (local - timedelta(days=1)).weekday()
        if self.start_minute < self.end_minute:
            return today in self.days and self.start_minute <= minute < self.end_minute
        begun_today = today in self.days and minute >= self.start_minute
        return begun_today or (yesterday in self.days and minute < self.end_minute)


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
        """Parse a matcher, such as `channel!~live.*`; the inverse of `str`.

        >>> Matcher.parse("rule=order_silence"), Matcher.parse("channel!~live.*").matches({"channel": "app"})
        (Matcher(label='rule', match_type=<MatchType.EQUAL: '='>, value='order_silence'), True)

        Raises:
            ValueError: the text is not a matcher, or its value is not a valid regular expression.
        """
        match = re.fullmatch(r"([^=!~]+)(!=|!~|=~|=)(.*)", text, re.DOTALL)
        if match is None:
            raise ValueError(f"{text!r} is no matcher: write label=value, label!=value, label=~regex or label!~regex")
        label, match_type, value = match[1].strip(), MatchType(match[2]), match[3].strip()
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
        """Whether the silence is active at a moment (epoch ms); `running`: ids of the promotions that run then."""
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
    matching = [silence for silence in silences if silence.is_active(now_ms, running) and silence.matches(labels)]
    return max(matching, key=lambda silence: (silence.ends_ms, silence.id), default=None)


COMMON_LABELS = ("rule", "severity", "alert_category")
"""Labels of every alert."""
HEALTH_LABELS = ("topic", "partition", "worker", "reason")
"""Labels of data faults and health checks."""
ALERT_LABELS: tuple[str, ...] = (
    *COMMON_LABELS,
    *(str(scope) for scope in SCOPES if scope != ALL),
    "warehouse",
    *(dimension.value for dimension in SourceDimension),
    *HEALTH_LABELS,
)
CLOSED_VALUES: dict[str, tuple[str, ...]] = {
    "severity": tuple(one.value for one in Severity),
    "alert_category": tuple(one.value for one in Category),
}


def validate_matcher(matcher: Matcher) -> Matcher:
    """Return the matcher; raise ValueError where no alert has its label, or its label never has its value.

    >>> validate_matcher(Matcher.parse("severity=critcal"))
    Traceback (most recent call last):
    ValueError: 'severity=critcal': severity is never 'critcal'; do you mean 'critical'? Known: critical, warning, info
    """
    if matcher.label not in ALERT_LABELS:
        raise ValueError(
            f"{str(matcher)!r}: no alert has a label {matcher.label!r}; {_known(matcher.label, ALERT_LABELS)}"
        )
    known = CLOSED_VALUES.get(matcher.label)
    if known is None:
        return matcher
    negated = matcher.match_type in (MatchType.NOT_EQUAL, MatchType.NOT_REGEXP)
    if not any(matcher.matches({matcher.label: value}) is not negated for value in known):
        raise ValueError(
            f"{str(matcher)!r}: {matcher.label} is never {matcher.value!r}; {_known(matcher.value, known)}"
        )
    return matcher


def _known(given: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(given, known, 1)
    listed = f"nown: {', '.join(known)}"
    return f"do you mean {close[0]!r}? K{listed}" if close else f"k{listed}"
