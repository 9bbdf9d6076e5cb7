"""Scopes that requests require, and their order."""

from __future__ import annotations

import pytest

from streams.tokens.token import TokenScope, hash_secret, required_scope
from tests.streams.tokens.making import token

FINGERPRINT = "0123456789abcdef"


@pytest.mark.parametrize(
    ("method", "path", "right"),
    [
        ("GET", "/healthz", None),
        ("GET", "/readyz", None),
        ("HEAD", "/readyz", None),
        ("GET", "/", TokenScope.READ),
        ("GET", "/metrics", TokenScope.READ),
        ("GET", "/openapi.json", TokenScope.READ),
        ("GET", "/api/v1/kpis", TokenScope.READ),
        ("GET", "/api/v1/alerts", TokenScope.READ),
        ("GET", "/healthz/", TokenScope.READ),
        ("GET", "//healthz", TokenScope.READ),
        ("POST", f"/api/v1/alerts/{FINGERPRINT}/ack", TokenScope.ACK),
        ("POST", "/api/v1/silences", TokenScope.ADMIN),
        ("DELETE", "/api/v1/silences/abc", TokenScope.ADMIN),
        ("POST", "/api/v1/silences/abc/ack", TokenScope.ADMIN),
        ("DELETE", f"/api/v1/alerts/{FINGERPRINT}/ack", TokenScope.ADMIN),
        ("POST", "/healthz", TokenScope.ADMIN),
        ("PUT", "/anything", TokenScope.ADMIN),
        ("", "/a-websocket", TokenScope.ADMIN),
    ],
)
def test_each_request_requires_its_scope(method: str, path: str, right: TokenScope | None) -> None:
    assert required_scope(method, path) is right


def test_each_scope_includes_those_before_it() -> None:
    assert [[have.includes(want) for want in TokenScope] for have in TokenScope] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


def test_a_token_is_invalid_from_its_expiry() -> None:
    assert [token("t", expires_ms=1000).expired(now_ms) for now_ms in (999, 1000)] == [False, True]
    assert not token("t").expired(2**60)


def test_a_stored_token_does_not_contain_its_secret() -> None:
    assert "hunter2" not in token("t", secret="hunter2").model_dump_json()
    assert hash_secret("hunter2") == hash_secret("hunter2") != hash_secret("hunter3")
