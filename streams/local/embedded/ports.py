"""TCP ports on this machine."""

from __future__ import annotations

import contextlib
import socket

from streams.local.embedded.errors import PortTakenError

LOOPBACK = "127.0.0.1"


def free_port(host: str = LOOPBACK) -> int:
    """A free port. Bind it soon: another program may take it."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def free_ports(count: int, host: str = LOOPBACK) -> list[int]:
    """Different free ports. Bind them soon."""
    with contextlib.ExitStack() as open_probes:
        probes = [open_probes.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((host, 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def claim_port(wanted: int, flag: str, host: str = LOOPBACK) -> int:
    """`wanted`, or any free port for 0. Raises PortTakenError if it is in use."""
    if wanted == 0:
        return free_port(host)
    with socket.socket() as probe:
        # As servers do: connections in TIME_WAIT do not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted))
        except OSError:
            raise PortTakenError(wanted, flag) from None
    return wanted
