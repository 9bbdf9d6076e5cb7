"""What requests need, and what rights include."""

from __future__ import annotations

import pytest

from streams.tokens.token import Right, digest, needed
from tests.streams.tokens.making import token

FINGERPRINT = "0123456789abcdef"


@pytest.mark.parametrize(
    ("method", "path", "right"),
    [
        ("GET", "/healthz", None),
        ("GET", "/readyz", None),
        ("HEAD", "/readyz", None),
        ("GET", "/", Right.READ),
        ("GET", "/metrics", Right.READ),
        ("GET", "/openapi.json", Right.READ),
        ("GET", "/api/v1/kpis", Right.READ),
        ("GET", "/api/v1/alerts", Right.READ),
        ("GET", "/healthz/", Right.READ),
        ("GET", "//healthz", Right.READ),
        ("POST", f"/api/v1/alerts/{FINGERPRINT}/ack", Right.ACK),
        ("POST", "/api/v1/silences", Right.ADMIN),
        ("DELETE", "/api/v1/silences/abc", Right.ADMIN),
        ("POST", "/api/v1/silences/abc/ack", Right.ADMIN),
        ("DELETE", f"/api/v1/alerts/{FINGERPRINT}/ack", Right.ADMIN),
        ("POST", "/healthz", Right.ADMIN),
        ("PUT", "/anything", Right.ADMIN),
        ("", "/a-websocket", Right.ADMIN),
    ],
)
def test_what_a_request_needs(method: str, path: str, right: Right | None) -> None:
    assert needed(method, path) is right


def test_each_right_includes_those_before_it() -> None:
    assert [[have.includes(want) for want in Right] for have in Right] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


def test_a_token_is_over_from_the_moment_it_expires() -> None:
    assert [token("t", expires_ms=1000).expired(now_ms) for now_ms in (999, 1000)] == [False, True]
    assert not token("t").expired(2**60)


def test_nothing_of_a_secret_is_in_what_is_kept() -> None:
    assert "hunter2" not in token("t", secret="hunter2").model_dump_json()
    assert digest("hunter2") == digest("hunter2") != digest("hunter3")
