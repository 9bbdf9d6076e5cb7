"""Compares a topic's settings with the intended ones. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from consumers.topics import Topic

_DAY_MS = 86_400_000
_AT_LEAST = frozenset({"retention.ms", "max.message.bytes"})
"""Settings that may exceed the intended value; -1 is unlimited."""
_POLICY, _RETENTION = "cleanup.policy", "retention.ms"


@dataclass(frozen=True, slots=True)
class TopicSettingDifference:
    """A setting with an unintended value."""

    setting: str
    actual: str
    """Empty if unset."""
    wanted: str

    def __str__(self) -> str:
        return f"{self.setting}={self.actual or 'unset'}, should be {self.wanted}"

    @property
    def harmful(self) -> bool:
        """Whether records may be deleted before they are counted, or definitions before they are read."""
        return self.setting in (_POLICY, _RETENTION)


def differences(actual: Mapping[str, str], wanted: Mapping[str, str]) -> list[TopicSettingDifference]:
    """The settings that differ. A longer retention and a larger limit are accepted."""
    all_settings = [TopicSettingDifference(name, actual.get(name, ""), text) for name, text in wanted.items()]
    return [difference for difference in all_settings if not _will_do(difference)]


def unusable(topic: Topic, found: list[TopicSettingDifference]) -> str:
    """Why a topic cannot be used with these settings; empty if it can."""
    for difference in found:
        if topic is not Topic.PROMOTIONS and difference.setting == _POLICY and "compact" in difference.actual:
            return "compaction deletes records that share a key: events would be lost"
    return ""


def losses(changes: list[TopicSettingDifference], actual: Mapping[str, str]) -> Iterator[str]:
    """The records that applying these settings deletes."""
    for difference in changes:
        if difference.setting != _POLICY:
            continue
        if "delete" in difference.wanted and "delete" not in difference.actual:
            after = {**actual, **{change.setting: change.wanted for change in changes}}
            yield f"records older than {_days(after.get(_RETENTION))} are deleted, the newest of a key too"
        if "compact" in difference.wanted and "compact" not in difference.actual:
            yield "only the newest of the records that share a key is kept"


def _will_do(difference: TopicSettingDifference) -> bool:
    if difference.setting in _AT_LEAST and difference.actual.lstrip("-").isdecimal():
        return int(difference.actual) < 0 or int(difference.actual) >= int(difference.wanted)
    return difference.actual == difference.wanted


def _days(retention_ms: str | None) -> str:
    if retention_ms is None or not retention_ms.isdecimal():
        return "the topic's retention"
    return f"{int(retention_ms) / _DAY_MS:g} days"
