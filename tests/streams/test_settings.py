"""Contradictory settings are rejected, above all those that protect a connection."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from streams.settings import Settings

SCRAM = {"kafka_sasl": "SCRAM-SHA-512", "kafka_user": "shop"}
URL = {"redis_url": "rediss://cache:6379/0"}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({**SCRAM, "kafka_password": "a", "kafka_password_file": "f"}, "remove one of them"),
        (SCRAM, "also set kafka_user, and kafka_password or kafka_password_file"),
        (
            {"kafka_sasl": "PLAIN", "kafka_password": "a"},
            "also set kafka_user, and kafka_password or kafka_password_file",
        ),
        ({"kafka_user": "shop", "kafka_password": "a"}, "without kafka_sasl"),
        ({"kafka_ca_file": "ca.pem"}, "set kafka_tls = true"),
        ({"kafka_tls": True, "kafka_key_file": "key.pem"}, "without kafka_cert_file: set both"),
        ({"redis_password": "a", "redis_password_file": "f"}, "both set: remove one"),
        ({"redis_read_user": "reader"}, "redis_read_user needs redis_read_password"),
        ({"redis_read_password": "a"}, "redis_read_user needs redis_read_password"),
        ({"redis_url": "redis://shop:a@cache:6379/0", "redis_user": "shop"}, "remove them from the URL"),
        ({"redis_ca_file": "ca.pem"}, "use rediss://"),
        ({"bootstrap": "nohost"}, "'nohost' is not a Kafka address: write host:port"),
        ({"bootstrap": "kafka:9092,other"}, "'other' is not a Kafka address"),
        ({"bootstrap": ""}, "'' is not a Kafka address"),
        ({"bootstrap": "kafka:99999"}, "is not a Kafka address"),
        ({**URL, "redis_key_file": "key.pem"}, "without redis_cert_file: set both"),
    ],
)
def test_rejects_contradictory_or_ineffective_connection_settings(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Settings(**given)


@pytest.mark.parametrize(
    "given",
    [
        {**SCRAM, "kafka_password": "a"},
        {**SCRAM, "kafka_password_file": "f", "kafka_tls": True, "kafka_ca_file": "ca.pem"},
        {"kafka_tls": True, "kafka_cert_file": "both.pem"},
        {"redis_url": "redis://shop:a@cache:6379/0"},
        {"redis_user": "writer", "redis_password": "a", "redis_read_user": "reader", "redis_read_password_file": "f"},
        {**URL, "redis_ca_file": "ca.pem"},
    ],
)
def test_accepts_consistent_connection_settings(given: dict[str, Any]) -> None:
    Settings(**given)
