"""The plan of a stack and its settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from streams.local.stack.plan import environment, make_plan
from streams.local.stack.secrets import secrets_for_children, write_secrets
from streams.settings import Settings

PROTECTED = {
    "bootstrap": "kafka:9093",
    "kafka_tls": True,
    "kafka_ca_file": "ca.pem",
    "kafka_sasl": "SCRAM-SHA-512",
    "kafka_user": "shop",
    "kafka_password_file": "/run/secrets/kafka",
    "redis_url": "rediss://cache:6380/0",
    "redis_prefix": "shop",
    "redis_user": "writer",
    "redis_password_file": "/run/secrets/redis",
}


def planned(tmp_path: Path, kafka_port: int | None, redis_port: int | None) -> Settings:
    settings = Settings.model_validate({**PROTECTED, "http_port": 0})
    return make_plan(settings, tmp_path, kafka_port=kafka_port, redis_port=redis_port, workers=1).settings


def test_given_servers_are_used_as_the_settings_say(tmp_path: Path) -> None:
    settings = planned(tmp_path, None, None)
    assert {name: getattr(settings, name) for name in PROTECTED if name != "redis_url"} == {
        name: given for name, given in PROTECTED.items() if name != "redis_url"
    }
    assert settings.redis_url.get_secret_value() == PROTECTED["redis_url"]


def test_embedded_servers_have_no_users_and_no_tls(tmp_path: Path) -> None:
    settings = planned(tmp_path, 0, 0)
    assert settings.kafka.tls is None
    assert (settings.kafka_sasl, settings.kafka_user, settings.kafka_password_file) == ("", "", "")
    assert not settings.redis_tls
    assert (settings.redis_user, settings.redis_password_file) == ("", "")
    assert settings.redis_prefix == "shop"


def test_children_get_the_same_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {"alerts_heartbeat_url": SecretStr("https://watcher.example.com/token")}
    settings = planned(tmp_path, None, None).model_copy(update=secrets)
    for name, text in environment(settings, write_secrets(tmp_path, secrets_for_children(settings, {}))).items():
        monkeypatch.setenv(name, text)
    assert Settings() == settings
