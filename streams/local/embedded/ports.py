"""TCP ports on this machine."""

from __future__ import annotations

import socket

from streams.local.embedded.errors import PortTakenError

LOOPBACK = "127.0.0.1"


def free_port(host: str = LOOPBACK) -> int:
    """A port that nothing listens on now. Another program may still take it first: bind it soon."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def claim_port(wanted: int, flag: str, host: str = LOOPBACK) -> int:
    """`wanted` if it is free, a free port if it is 0; else PortTakenError, which names the port and `flag`."""
    if wanted == 0:
        return free_port(host)
    with socket.socket() as probe:
        # Servers set it too: a port whose last connections are still in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted))
        except OSError:
            raise PortTakenError(wanted, flag) from None
    return wanted
