"""Refuse to start on topics that hold another team's messages."""

from __future__ import annotations

from collections.abc import Collection

import structlog

from consumers.errors import SalepulseError
from consumers.topic_contents import contents_advice, find_foreign_contents
from consumers.topics import Topic
from streams.settings import Settings

log = structlog.get_logger()


async def require_own_topics(settings: Settings, topics: Collection[Topic], *, at_work: bool) -> None:
    """Raise SalepulseError for topics whose oldest messages mostly break the contract.

    `at_work`: the shop was counted or watched before, so only log an error; `salepulse doctor` reports it.
    """
    foreign = await find_foreign_contents(settings.kafka, set(topics) - settings.accepted_topics)
    for topic, why in sorted(foreign.items()):
        shown = settings.topic_names.shown(topic)
        if not at_work:
            raise SalepulseError(f"topic {shown} cannot be used: {why}; {contents_advice(topic)}")
        log.error("topic holds messages of others", topic=shown, why=why, fix=contents_advice(topic))
