"""Differences of topic settings, the harm they do, and the records that a change deletes."""

from __future__ import annotations

import pytest

from consumers.kafka.topic_differences import TopicSettingDifference, differences, losses, unusable
from consumers.topics import Topic

WANTED = {"cleanup.policy": "delete", "retention.ms": "604800000", "max.message.bytes": "2097152"}


@pytest.mark.parametrize("retention", ["604800000", "604800001", "-1"])
def test_a_longer_retention_is_no_difference(retention: str) -> None:
    assert not differences({**WANTED, "retention.ms": retention}, WANTED)


def test_a_shorter_or_unset_value_is_a_difference() -> None:
    actual = {"cleanup.policy": "compact,delete", "retention.ms": "1"}
    assert [str(one) for one in differences(actual, WANTED)] == [
        "cleanup.policy=compact,delete, should be delete",
        "retention.ms=1, should be 604800000",
        "max.message.bytes=unset, should be 2097152",
    ]
    assert [one.harmful for one in differences(actual, WANTED)] == [True, True, False]


@pytest.mark.parametrize(
    ("topic", "policy", "usable"),
    [
        (Topic.ORDERS, "compact", False),
        (Topic.ORDERS, "compact,delete", False),
        (Topic.DEAD_LETTERS, "compact", False),
        (Topic.ALERTS, "compact", False),
        (Topic.PROMOTIONS, "delete", True),
        (Topic.PROMOTIONS, "compact,delete", True),
    ],
)
def test_a_compacted_event_topic_cannot_be_used(topic: Topic, policy: str, usable: bool) -> None:
    wanted = "compact" if topic is Topic.PROMOTIONS else "delete"
    assert bool(unusable(topic, [TopicSettingDifference("cleanup.policy", policy, wanted)])) is not usable


@pytest.mark.parametrize(
    ("actual", "wanted", "lost"),
    [
        ({"cleanup.policy": "compact"}, WANTED, ["records older than 7 days are deleted, the newest of a key too"]),
        (
            {"cleanup.policy": "compact", "retention.ms": "2592000000"},
            WANTED,
            ["records older than 30 days are deleted, the newest of a key too"],
        ),
        ({"cleanup.policy": "delete", "retention.ms": "1"}, WANTED, []),
        (
            {"cleanup.policy": "delete"},
            {"cleanup.policy": "compact"},
            ["only the newest of the records that share a key is kept"],
        ),
    ],
)
def test_losses_lists_the_records_that_a_change_deletes(
    actual: dict[str, str], wanted: dict[str, str], lost: list[str]
) -> None:
    assert list(losses(differences(actual, wanted), actual)) == lost
