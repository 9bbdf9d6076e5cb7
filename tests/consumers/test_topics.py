"""Topic names on the broker: a common prefix, a name for each topic, and invalid names."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from consumers.settings import IngestSettings
from consumers.topics import LOGICAL_NAMES, Topic, TopicNames


def test_topics_have_their_logical_names_by_default() -> None:
    names = IngestSettings().topic_names
    assert names == LOGICAL_NAMES
    assert {topic: names.on_broker(topic) for topic in Topic} == {topic: topic.value for topic in Topic}
    assert names.renamed_on_broker == names.log_fields() == {}


def test_the_prefix_applies_to_default_and_configured_names() -> None:
    names = IngestSettings(topic_prefix="eu.", topic_dead_letters="refused").topic_names
    assert (names.on_broker(Topic.ORDERS), names.on_broker(Topic.DEAD_LETTERS)) == ("eu.orders", "eu.refused")
    assert names.topic("eu.refused") is Topic.DEAD_LETTERS
    assert names.renamed_on_broker["dead-letters"] == "eu.refused"


def test_two_topics_may_swap_their_names() -> None:
    names = IngestSettings(topic_clicks="orders", topic_orders="clicks").topic_names
    assert (names.on_broker(Topic.CLICKS), names.topic("orders")) == ("orders", Topic.CLICKS)


def test_a_logical_name_is_mapped_and_other_text_is_unchanged() -> None:
    names = TopicNames("eu.")
    assert (names.on_broker_by_name("orders"), names.on_broker_by_name("payments")) == ("eu.orders", "payments")


@pytest.mark.parametrize(
    ("settings", "expected_text"),
    [
        ({"topic_orders": "clicks"}, "clicks and orders would both be called 'clicks' on the broker"),
        ({"topic_orders": "a.b", "topic_clicks": "a_b"}, "clicks and orders would both be called"),
        ({"topic_orders": "or ders"}, "letters, digits"),
        ({"topic_orders": "büro"}, "letters, digits"),
        ({"topic_orders": ""}, "letters, digits"),
        ({"topic_orders": ".."}, "letters, digits"),
        ({"topic_orders": "orders\n"}, "letters, digits"),
        ({"topic_prefix": "p" * 245}, "at most 249 characters"),
        ({"topic_orders": "__consumer_offsets"}, "one of Kafka's internal topics"),
        ({"topic_prefix": "shop/"}, "see topic_prefix and topic_clicks, topic_orders, ..."),
    ],
)
def test_names_invalid_in_kafka_are_reported(settings: dict[str, str], expected_text: str) -> None:
    with pytest.raises(ValidationError, match=expected_text):
        IngestSettings(**settings)
