"""`salepulse settings`: every value with its source, without secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from consumers.masking import mask_url
from streams.settings import Settings
from streams.settings_report import misspelt
from tests.support.salepulse import failure, salepulse


def test_each_value_has_its_source(tmp_path: Path) -> None:
    (tmp_path / "salepulse.toml").write_text('bootstrap = "file:1"\nhttp_port = 81\npartitions = 7\n')
    env = {"SALEPULSE_HTTP_PORT": "82", "SALEPULSE_BOOTSTRAP": "environment:1"}
    done = salepulse("settings", "--bootstrap", "flag:1", "--json", cwd=tmp_path, env=env)
    facts = {fact["name"]: fact for fact in json.loads(done.stdout)["settings"]}
    found = {name: (facts[name]["value"], facts[name]["source"]) for name in facts}
    assert found["bootstrap"] == ("flag:1", "flag")
    assert found["http_port"] == (82, "environment")
    assert found["partitions"] == (7, "salepulse.toml")
    assert found["clock"] == ("wall", "default")
    assert list(facts) == list(Settings.model_fields)
    assert all(fact["meaning"] for fact in facts.values())
    assert facts["http_port"]["default"] == 8080
    assert facts["http_port"]["variable"] == "SALEPULSE_HTTP_PORT"


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_no_password_is_shown(tmp_path: Path, form: tuple[str, ...]) -> None:
    env = {"SALEPULSE_REDIS_URL": "redis://shop:hunter2@cache:6379/0"}
    done = salepulse("settings", *form, cwd=tmp_path, env=env)
    assert "hunter2" not in done.stdout + done.stderr
    assert "redis://shop:***@cache:6379/0" in done.stdout


def test_no_password_of_any_setting_is_shown(tmp_path: Path) -> None:
    secrets = {name for name, field in Settings.model_fields.items() if field.annotation is SecretStr} - {"redis_url"}
    users = {"kafka_sasl": "PLAIN", "kafka_user": "shop", "redis_user": "writer", "redis_read_user": "reader"}
    given = users | dict.fromkeys(secrets, "hunter2")
    done = salepulse(
        "settings", "--json", cwd=tmp_path, env={f"SALEPULSE_{name.upper()}": text for name, text in given.items()}
    )
    assert "hunter2" not in done.stdout + done.stderr
    values = {fact["name"]: fact["value"] for fact in json.loads(done.stdout)["settings"]}
    assert {values[name] for name in secrets} == {"***"}


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("redis://cache:6379/0", "redis://cache:6379/0"),
        ("rediss://:p%40ss@cache:6380/1", "rediss://:***@cache:6380/1"),
        ("redis://cache/0?password=hunter2&db=1", "redis://cache/0?password=***&db=1"),
        ("redis://[::1", "***"),
    ],
)
def test_only_the_password_of_a_url_is_masked(url: str, masked: str) -> None:
    assert mask_url(url) == masked


def test_only_misspelt_variables_are_reported() -> None:
    given = {"SALEPULSE_BOOTSTRP": "x", "SALEPULSE_CLOCK": "wall", "SALEPULSE_WEBHOOK_TOKEN": "x", "PATH": "x"}
    assert misspelt(Settings, given) == {"SALEPULSE_BOOTSTRP": "SALEPULSE_BOOTSTRAP"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("http_port = 70000\n", "setting http_port is 70000 (salepulse.toml): it must be at most 65535"),
        (
            'http_port = 70000\nclock = "sun"\n',
            "setting clock is 'sun' (salepulse.toml): write one of wall or event; setting http_port is 70000",
        ),
        ("colour = 1\n", "salepulse.toml: there is no setting colour: leave it out"),
        ('redisurl = "redis://cache"\n', "salepulse.toml: there is no setting redisurl: do you mean redis_url?"),
        ("no toml", "salepulse.toml is not TOML"),
        ('timezone = "Mars/Phobos"\n', "unknown time zone 'Mars/Phobos'"),
        ('currency = "yuan"\n', "setting currency"),
        ('redis_url = "http://cache"\n', "redis_url must begin with redis://"),
        ('kafka_user = "shop"', "settings: a Kafka user or password is set without kafka_sasl"),
    ],
)
def test_an_invalid_settings_file_exits_with_2_and_one_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "salepulse.toml").write_text(text)
    code, line = failure("settings", cwd=tmp_path)
    assert code == 2
    assert says in line


def test_an_invalid_secret_is_not_shown_but_its_source_is(tmp_path: Path) -> None:
    wrong = "http://shop:hunter2@cache"
    by_flag = failure("settings", "--redis-url", wrong, cwd=tmp_path)
    by_variable = failure("settings", cwd=tmp_path, env={"SALEPULSE_REDIS_URL": wrong})
    for (code, line), source in ((by_flag, "--redis-url"), (by_variable, "SALEPULSE_REDIS_URL")):
        assert (code, "hunter2" in line) == (2, False)
        assert line.startswith(f"setting redis_url ({source}): redis_url must begin with redis://")


@pytest.mark.parametrize("command", ["up", "demo", "kpis", "doctor", "worker", "serve"])
def test_an_invalid_settings_file_fails_every_command(tmp_path: Path, command: str) -> None:
    (tmp_path / "salepulse.toml").write_text("http_port = 70000\n")
    code, line = failure(command, cwd=tmp_path)
    assert (code, "setting http_port" in line) == (2, True)


@pytest.mark.parametrize("command", ["worker", "alerts"])
def test_a_role_without_broker_and_redis_fails_with_the_broker_named(tmp_path: Path, command: str) -> None:
    """It waits for Redis: asked first, Redis alone was named, for as long as it was away."""
    away = ("--bootstrap", "127.0.0.1:1", "--redis-url", "redis://127.0.0.1:1")
    ended = salepulse(command, *away, cwd=tmp_path)
    assert ended.returncode == 1
    assert "no Kafka broker answers at 127.0.0.1:1: start it, or name another with --bootstrap" in ended.stderr


def test_help_imports_no_slow_module(tmp_path: Path) -> None:
    import subprocess
    import sys

    heavy = ("faust", "fastapi", "numpy", "uvicorn")
    code = "import sys; from streams.commands.root import create_app; create_app(); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert not [name for name in heavy if repr(name) in done.stdout]
