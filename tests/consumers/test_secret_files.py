"""Readers and writers of secret files agree on the meaning of `env:NAME`."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from alerts.notify.secret import Secret
from consumers.secret_files import variable_of, variables_in
from streams.local.stack.secrets import inherited_variables, secrets_for_children
from streams.settings import Settings

SECRET: TypeAdapter[object] = TypeAdapter(Secret)


@pytest.mark.parametrize("name", ["ROBOT", "_robot2", "R"])
def test_receivers_secrets_are_passed_in_a_file_and_not_inherited(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "receivers.yaml"
    file.write_text(f"receivers:\n- {{name: chat, type: slack, url: env:{name}}}\n")
    settings = Settings(alerts_receivers=str(file))
    assert secrets_for_children(settings, {name: "t0p"})[f"env:{name}"] == "t0p"
    assert not inherited_variables(settings)(name)
    assert variable_of(f"env:{name}") == name
    monkeypatch.setenv(name, "t0p")
    assert SECRET.validate_python(f"env:{name}").get_secret_value() == "t0p"  # type: ignore[attr-defined]


@pytest.mark.parametrize("reference", ["env:", "env:RO-BOT", "env:1ROBOT", "env: ROBOT", "env:RÖBOT", "env:ROBOT "])
def test_an_invalid_env_reference_is_rejected(reference: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name := reference.removeprefix("env:"):
        monkeypatch.setenv(name, "t0p")
    with pytest.raises(ValidationError, match="is not followed by a variable name: write env:NAME"):
        SECRET.validate_python(reference)


def test_secrets_without_env_prefix_are_literal() -> None:
    assert variable_of("t0ps3cret") is None
    assert variables_in("url: https://host/xenv:NO, secret: t0p") == set()
