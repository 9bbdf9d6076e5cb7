"""The topics that workers read, as stored in Redis for readers, which have no file of sources. Pure."""

from __future__ import annotations

import json

from consumers.topics import CONTRACT_FEEDS, Feeds, Topic, input_topic

FEEDS_FIELD = "feeds"
"""Field of the state of shard 0; absent as long as no worker had sources."""


def encode_feeds(feeds: Feeds) -> str:
    """The value of the field."""
    return json.dumps({str(topic): list(map(str, fed)) for topic, fed in feeds.items()})


def parse_feeds(stored: bytes | None) -> Feeds:
    """The topics by the value of the field; None if it is absent."""
    if stored is None:
        return CONTRACT_FEEDS
    return {input_topic(topic): tuple(map(Topic, fed)) for topic, fed in json.loads(stored).items()}
