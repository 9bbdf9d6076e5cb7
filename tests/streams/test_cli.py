"""Behaviour of every command."""

from __future__ import annotations

import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from streams import cli
from streams.commands import root
from tests.support.salepulse import salepulse


def test_prints_its_version(tmp_path: Path) -> None:
    done = salepulse("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"salepulse {version('salepulse')}\n")


def test_every_command_warns_of_a_misspelt_variable(tmp_path: Path) -> None:
    done = salepulse("settings", cwd=tmp_path, env={"SALEPULSE_REDISURL": "redis://cache:6379/0"})
    assert done.returncode == 0
    assert done.stderr == ("note: unknown environment variable SALEPULSE_REDISURL: did you mean SALEPULSE_REDIS_URL?\n")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("serve", "--http-port", "abc"), "'--http-port': write a whole number"),
        (("topics", "create", "--partitions", "0"), "'--partitions': it must be at least 1"),
        (("kpis", "--window", "7m"), "'--window': '7m' is not one of '1m'"),
        (("alerts", "rehearse", "--rate", "much"), "'--rate': write a number"),
    ],
)
def test_an_invalid_option_value_is_rejected_in_plain_words(
    tmp_path: Path, command: tuple[str, ...], message: str
) -> None:
    ended = salepulse(*command, cwd=tmp_path)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Input should" not in ended.stderr


def test_ctrl_c_during_imports_ends_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(root, "create_app", interrupted)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
    assert capsys.readouterr() == ("", "")


def test_imports_little_before_main() -> None:
    code = "import sys; before = set(sys.modules); import streams.cli; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name.partition(".")[0] for name in done.stdout.split()} <= {
        "streams",
        "typing",
        "__future__",
        *sys.stdlib_module_names,
    }
    assert "importlib.metadata" not in done.stdout.split()


@pytest.mark.parametrize("command", cli.ENDLESS)
def test_sigterm_during_startup_ends_a_long_running_command_normally(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(root, "create_app", lambda: signal.raise_signal(signal.SIGTERM))
    monkeypatch.setattr(sys, "argv", ["salepulse", command])
    assert _ended() == 0
    assert capsys.readouterr() == ("", "")


def test_sigterm_fails_any_other_command(tmp_path: Path) -> None:
    code = (
        "import signal; from streams import cli; from streams.commands import root; "
        "root.create_app = lambda: signal.raise_signal(signal.SIGTERM); cli.main()"
    )
    for arguments in (["replay", "."], []):
        done = subprocess.run([sys.executable, "-c", code, *arguments], check=False, cwd=tmp_path)
        assert done.returncode == -signal.SIGTERM


def _ended() -> object:
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as ended:
            cli.main()
    finally:
        signal.signal(signal.SIGTERM, before)
    return ended.value.code
