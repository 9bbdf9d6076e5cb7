"""What a topic's settings are against what they should be: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from consumers.topics import Topic

_DAY_MS = 86_400_000
_AT_LEAST = frozenset({"retention.ms", "max.message.bytes"})
"""Settings where more is fine; -1 is without limit."""
_POLICY, _RETENTION = "cleanup.policy", "retention.ms"


@dataclass(frozen=True, slots=True)
class TopicSettingDifference:
    """A setting that is not as it should be."""

    setting: str
    actual: str
    """Empty where it is not set."""
    wanted: str

    def __str__(self) -> str:
        return f"{self.setting}={self.actual or 'unset'}, should be {self.wanted}"

    @property
    def harmful(self) -> bool:
        """Whether records may be gone before they are counted, or definitions before they are read; a smaller limit on
        messages only has their producers refused."""
        return self.setting in (_POLICY, _RETENTION)


def differences(actual: Mapping[str, str], wanted: Mapping[str, str]) -> list[TopicSettingDifference]:
    """The settings that are not as wanted. A longer retention and a larger limit are fine."""
    found = [TopicSettingDifference(name, actual.get(name, ""), text) for name, text in wanted.items()]
    return [one for one in found if not _will_do(one)]


def unusable(topic: Topic | None, found: list[TopicSettingDifference]) -> str:
    """Why a topic cannot be used with these settings; empty where it can."""
    for one in found:
        if topic is not Topic.PROMOTIONS and one.setting == _POLICY and "compact" in one.actual:
            return "compaction removes records that share a key: they would be gone before or after they are counted"
    return ""


def losses(changes: list[TopicSettingDifference], actual: Mapping[str, str]) -> Iterator[str]:
    """What is lost of what a topic holds by putting these settings right."""
    for one in changes:
        if one.setting != _POLICY:
            continue
        if "delete" in one.wanted and "delete" not in one.actual:
            after = {**actual, **{change.setting: change.wanted for change in changes}}
            yield f"records older than {_days(after.get(_RETENTION))} are deleted, the newest of a key too"
        if "compact" in one.wanted and "compact" not in one.actual:
            yield "of the records that share a key only the newest is kept"


def _will_do(one: TopicSettingDifference) -> bool:
    if one.setting in _AT_LEAST and one.actual.lstrip("-").isdecimal():
        return int(one.actual) < 0 or int(one.actual) >= int(one.wanted)
    return one.actual == one.wanted


def _days(retention_ms: str | None) -> str:
    if retention_ms is None or not retention_ms.isdecimal():
        return "the topic's retention"
    return f"{int(retention_ms) / _DAY_MS:g} days"
