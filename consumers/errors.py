"""What can go wrong outside the program. Every message is an instruction: what was wrong, where, what to do."""

from __future__ import annotations

from consumers.masking import mask_secrets


class SalepulseError(Exception):
    """A foreseeable failure, told to a person in one line; without secrets."""

    exit_code = 1
    """What the command line ends with: 1 failed, 2 wrong usage."""

    def __init__(self, message: str, *, retriable: bool = False) -> None:
        super().__init__(mask_secrets(message))
        self.retriable = retriable
        """Whether the same call may succeed later, once the outside world is well or mended."""


class UsageError(SalepulseError):
    """What was asked for makes no sense: a path that is not there, an unknown topic."""

    exit_code = 2


def check_bootstrap(bootstrap: str) -> None:
    """Raise UsageError unless this is host:port, or several of them separated by commas."""
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise UsageError(f"{address.strip()!r} is no Kafka address: write host:port, several separated by commas")
