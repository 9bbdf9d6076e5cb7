"""Event ids are valid at every server."""

from __future__ import annotations

import pytest

from streams.serve.sse import HEARTBEAT, StreamPosition, event, parse_event_id


@pytest.mark.parametrize(
    "seen",
    [
        StreamPosition(None, None),
        StreamPosition(5, None),
        StreamPosition(None, (7, 0)),
        StreamPosition(1_764_590_400_000, (8, 9)),
    ],
)
def test_an_event_id_round_trips(seen: StreamPosition) -> None:
    assert parse_event_id(str(seen)) == seen


@pytest.mark.parametrize("text", ["", "5", "5.7", "5.7-", "a.1-1", "5.1-1\n", "-5.", "5.1-1 ", "٥.", f"{'9' * 99}."])
def test_malformed_event_ids_are_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="is not an event id"):
        parse_event_id(text)


def test_an_event_is_encoded_for_sse() -> None:
    assert event("kpis", b"{}", StreamPosition(5, (7, 0))) == b"event: kpis\nid: 5.7-0\ndata: {}\n\n"
    assert event("heartbeat", b"{}") == HEARTBEAT
    assert event("gap", b"{}") == b"event: gap\ndata: {}\n\n"
