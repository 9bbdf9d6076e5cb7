"""Positions of other brokers in Redis, found by topic id."""

from __future__ import annotations

import pytest

from streams.local.stack.ownership import foreign_positions

EMBEDDED, OTHER = "01a22c3c-fd6f-7633-a958-ea2db5cc72d2", "8f14e45f-ceea-467f-a0e6-1b1c7a1c9d33"


@pytest.mark.parametrize(
    ("state", "others"),
    [
        ({}, {}),
        ({"pos:orders/0": "0", "topic:orders/0": f"{OTHER} "}, {}),
        ({"pos:orders/0": "7", "topic:orders/0": f"{EMBEDDED} "}, {}),
        ({"pos:orders/0": "7", "topic:orders/0": f"{EMBEDDED} {OTHER}"}, {}),
        ({"pos:orders/0": "7", "topic:orders/0": f"{OTHER} {EMBEDDED}"}, {"orders/0": 7}),
        ({"pos:orders/0": "7"}, {"orders/0": 7}),
        ({"pos:orders/0": "7", "broker,orders": " 4"}, {"orders/0": 7}),
        ({"pos:orders/0": "7", "broker,orders": f"{OTHER} 4"}, {"orders/0": 7}),
        ({"pos:orders/0": "7", "broker,orders": f"{EMBEDDED} 4"}, {}),
        ({"pos:orders/0": "7", "pos:clicks/0": "3", "topic:clicks/0": f"{EMBEDDED} "}, {}),
        ({"pos:orders/0": "7", "pos:clicks/0": "3", "topic:clicks/0": f"{OTHER} "}, {"clicks/0": 3, "orders/0": 7}),
    ],
)
def test_positions_of_other_brokers_are_found_by_topic_id(state: dict[str, str], others: dict[str, int]) -> None:
    assert foreign_positions(state) == others
