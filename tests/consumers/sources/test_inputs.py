from __future__ import annotations

from pathlib import Path

import pytest

from consumers.errors import UsageError
from consumers.settings import IngestSettings
from consumers.sources.inputs import load_inputs
from consumers.topics import CONTRACT_FEEDS, Partition, SourceTopic, Topic, topics_feeding
from streams.store.feeds import encode_feeds, parse_feeds
from tests.consumers.sources.builders import SHOP


def settings(tmp_path: Path, text: str, **changes: str) -> IngestSettings:
    file = tmp_path / "sources.yaml"
    file.write_text(text)
    return IngestSettings(sources=str(file), **changes)


def test_without_sources_the_contract_topics_are_read() -> None:
    inputs = load_inputs(IngestSettings(), exponent=2)
    assert (inputs.feeds, inputs.sources) == (CONTRACT_FEEDS, {})


def test_a_source_replaces_the_topics_that_it_feeds(tmp_path: Path) -> None:
    inputs = load_inputs(settings(tmp_path, SHOP), exponent=2)
    assert inputs.all == (Topic.CLICKS, Topic.LOGISTICS, "shop.orders", Topic.PROMOTIONS)
    assert topics_feeding(inputs.feeds, [Topic.ORDERS]) == {"shop.orders"}
    assert isinstance(inputs.names.topic("shop.orders"), SourceTopic)
    assert parse_feeds(encode_feeds(inputs.feeds).encode()) == inputs.feeds


def test_a_topic_of_the_contract_may_be_in_the_shops_own_format(tmp_path: Path) -> None:
    inputs = load_inputs(settings(tmp_path, SHOP.replace("topic: shop.orders", "topic: orders")), exponent=2)
    assert inputs.all == (Topic.CLICKS, Topic.LOGISTICS, Topic.ORDERS, Topic.PROMOTIONS)
    assert set(inputs.sources) == {Topic.ORDERS}


def test_a_renamed_topic_of_the_contract_is_known_by_its_name_on_the_broker(tmp_path: Path) -> None:
    inputs = load_inputs(settings(tmp_path, SHOP, topic_orders="shop.orders"), exponent=2)
    assert set(inputs.sources) == {Topic.ORDERS}


@pytest.mark.parametrize(
    ("topic", "changes", "error"),
    [
        ("dead-letters", {}, "is the topic dead-letters of salepulse"),
        ("orders", {"topic_orders": "order-events"}, "set topic_orders = orders"),
    ],
)
def test_names_of_salepulses_topics_are_refused(
    tmp_path: Path, topic: str, changes: dict[str, str], error: str
) -> None:
    given = settings(tmp_path, SHOP.replace("topic: shop.orders", f"topic: {topic}"), **changes)
    with pytest.raises(UsageError, match=error):
        load_inputs(given, exponent=2)


def test_partitions_of_source_topics_have_names_that_can_be_parsed() -> None:
    partition = Partition(SourceTopic("shop.orders"), 3)
    assert Partition.parse(str(partition)) == partition
    assert sorted([partition, Partition(Topic.ORDERS, 0)])[0].topic is Topic.ORDERS


def test_files_that_make_other_events_have_another_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "shop_prints.py").write_text("def events(value, headers): return []\n")
    function = "version: 1\nsources: [{topic: t, python: 'shop_prints:events'}]\n"
    registry = "version: 1\nregistry: {url: 'https://r'}"
    texts = [SHOP, SHOP.replace("value: guest", "value: stranger"), function]
    first, *others = (load_inputs(settings(tmp_path, text), exponent=2).fingerprint for text in texts)
    assert len({first, *others, ""}) == 4
    for same in (SHOP + "# comment\n", SHOP.replace("version: 1", registry)):
        assert load_inputs(settings(tmp_path, same), exponent=2).fingerprint == first
    (tmp_path / "shop_prints.py").write_text("def events(value, headers): return [{}]\n")
    assert load_inputs(settings(tmp_path, function), exponent=2).fingerprint not in (first, *others)
