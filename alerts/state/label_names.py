"""The labels of alerts and their closed value sets, to validate matchers."""

from __future__ import annotations

from difflib import get_close_matches

from alerts.findings import Category, Severity
from alerts.state.silences import Matcher, MatchType
from streams.panes.scopes import SCOPES, Scope, SourceDimension

COMMON_LABELS = ("rule", "severity", "alert_category")
"""Labels of every alert."""
HEALTH_LABELS = ("topic", "partition", "worker", "reason")
"""Labels of data faults and health checks."""
ALERT_LABELS: tuple[str, ...] = (
    *COMMON_LABELS,
    *(scope.value for scope in SCOPES if scope is not Scope.ALL),
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
    meets = Matcher(matcher.label, _POSITIVE[matcher.match_type], matcher.value)
    if not any(meets.matches({matcher.label: value}) for value in known):
        raise ValueError(
            f"{str(matcher)!r}: {matcher.label} is never {matcher.value!r}; {_known(matcher.value, known)}"
        )
    return matcher


_POSITIVE = {
    MatchType.EQUAL: MatchType.EQUAL,
    MatchType.NOT_EQUAL: MatchType.EQUAL,
    MatchType.REGEXP: MatchType.REGEXP,
    MatchType.NOT_REGEXP: MatchType.REGEXP,
}


def _known(given: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(given, known, 1)
    listed = f"nown: {', '.join(known)}"
    return f"do you mean {close[0]!r}? K{listed}" if close else f"k{listed}"
