"""Plan of a stack: addresses, folders and worker count, checked before anything starts; and its data folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import SecretStr

from consumers.errors import SalepulseError
from consumers.secret_files import SECRETS_VARIABLE
from streams.local.embedded.broker import broker_binary
from streams.local.embedded.errors import EmbeddedError, PortTakenError
from streams.local.embedded.ports import LOOPBACK, claim_port
from streams.local.embedded.redis import find_redis
from streams.local.stack.secrets import remove_secrets
from streams.settings import Settings

PREFIX = "salepulse-"
LOCK = ".owner.lock"


@contextlib.contextmanager
def temporary_data_dir(parent: Path | None = None) -> Iterator[Path]:
    """Create a folder in `parent` (default: the system's) and delete it on exit; also delete folders of dead owners."""
    parent = parent or Path(tempfile.gettempdir())
    sweep(parent)
    # Under another name until it is locked, so that no sweep deletes it as an orphan.
    created = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=parent))
    folder = parent / created.name[1:]
    try:
        with (created / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            created.rename(folder)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path) -> list[Path]:
    """Delete unlocked data folders of salepulse in `parent`; returns them."""
    swept = []
    for lock_path in parent.glob(f"{PREFIX}*/{LOCK}"):
        with contextlib.suppress(OSError), lock_path.open("r+") as lock:
            # The kernel releases a lock with its holder.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock.fileno()).st_uid == os.getuid():
                shutil.rmtree(lock_path.parent, ignore_errors=True)
                swept.append(lock_path.parent)
    return swept


ANY_ADDRESS = {"0.0.0.0": LOOPBACK, "::": "::1", "": LOOPBACK}


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPlan:
    """A checked stack."""

    settings: Settings
    """Settings with the final addresses."""
    folder: Path
    """Folder of Redis data and logs."""
    kafka_port: int | None
    """Port of the embedded broker; None: the broker of the settings is used."""
    redis_port: int | None
    """Port of the embedded Redis; None: the Redis of the settings is used."""
    workers: int

    @property
    def url(self) -> str:
        """URL of the API on this machine."""
        host = ANY_ADDRESS.get(self.settings.http_host, self.settings.http_host)
        scheme = "https" if self.settings.http_cert_file else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.settings.http_port}"

    @property
    def log_folder(self) -> Path:
        """Folder of the log files of all children."""
        return self.folder / "logs"


def make_plan(
    settings: Settings,
    folder: Path,
    *,
    kafka_port: int | None,
    redis_port: int | None,
    workers: int,
    http_port_may_differ: bool = False,
) -> StackPlan:
    """Find programs and ports. Raises SalepulseError if a program is missing or a port in use.

    Args:
        kafka_port: port of the embedded broker, 0 for any free one; None: use the broker of the settings.
        redis_port: the same of Redis.
        http_port_may_differ: use any free port if the port of the settings is in use.
    """
    with embedded_errors():
        if kafka_port is not None:
            broker_binary()
        if redis_port is not None:
            find_redis()
        changes: dict[str, object] = {}
        if kafka_port is not None:
            kafka_port = claim_port(kafka_port, "--kafka-port")
            changes |= {**_defaults("kafka_"), "bootstrap": f"{LOOPBACK}:{kafka_port}"}
        if redis_port is not None:
            redis_port = claim_port(redis_port, "--redis-port")
            changes |= {**_defaults("redis_"), "redis_prefix": settings.redis_prefix}
            changes["redis_url"] = SecretStr(f"redis://{LOOPBACK}:{redis_port}/0")
        try:
            changes["http_port"] = claim_port(settings.http_port, "--http-port", settings.http_host)
        except PortTakenError:
            if not http_port_may_differ:
                raise
            changes["http_port"] = claim_port(0, "--http-port", settings.http_host)
    return StackPlan(
        settings=settings.model_copy(update=changes),
        folder=folder,
        kafka_port=kafka_port,
        redis_port=redis_port,
        workers=workers,
    )


def _defaults(prefix: str) -> dict[str, object]:
    """Defaults of settings with this prefix: embedded servers have no users and no TLS."""
    return {name: field.default for name, field in Settings.model_fields.items() if name.startswith(prefix)}


@contextlib.contextmanager
def data_folder(wanted: Path | None) -> Iterator[Path]:
    """Lock and yield the data folder; without one, a temporary folder that is deleted at the end."""
    if wanted is None:
        with temporary_data_dir() as folder:
            yield folder
        return
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        lock = (wanted / ".lock").open("w")
    except OSError as error:
        raise SalepulseError(f"{wanted} cannot hold data ({error.strerror}): name another --data-dir") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SalepulseError(
                f"{wanted} is in use by another `salepulse up`: stop it, or name another --data-dir"
            ) from None
        try:
            yield wanted.resolve()
        finally:
            remove_secrets(wanted)


@contextlib.contextmanager
def embedded_errors() -> Iterator[None]:
    """Turn EmbeddedError into SalepulseError."""
    try:
        yield
    except EmbeddedError as error:
        raise SalepulseError(str(error)) from error


def environment(settings: Settings, secrets: Path) -> dict[str, str]:
    """Environment variables that pass these settings to a child. `secrets`: file of the secret ones."""
    variables = {SECRETS_VARIABLE: str(secrets)}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if not isinstance(value, SecretStr):
            variables[f"SALEPULSE_{name.upper()}"] = (
                value.value if isinstance(value, StrEnum) else "" if value is None else str(value)
            )
    return variables
