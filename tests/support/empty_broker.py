"""Empties a broker for reuse."""

from __future__ import annotations

import time

from confluent_kafka.admin import AdminClient

SETTLE_S = 10


def empty_broker(bootstrap: str) -> None:
    """Delete all consumer groups and topics, and wait until they are gone.

    Groups with live members cannot be deleted, so earlier tests must have stopped their consumers.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap})
    if groups := [group.group_id for group in admin.list_consumer_groups().result(SETTLE_S).valid]:
        for deleted in admin.delete_consumer_groups(groups).values():
            deleted.result(SETTLE_S)
    deadline = time.monotonic() + SETTLE_S
    asked: set[str] = set()
    while topics := {topic for topic in admin.list_topics(timeout=SETTLE_S).topics if not topic.startswith("__")}:
        if time.monotonic() > deadline:
            raise RuntimeError(f"topics that remain after deletion: {topics}")
        if topics - asked:
            for deleted in admin.delete_topics(list(topics - asked)).values():
                deleted.result(SETTLE_S)
            asked |= topics
        time.sleep(0.05)
