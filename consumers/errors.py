"""Expected errors: wrong usage, and failures of files, Kafka and Redis. Each message has the problem and the fix."""

from __future__ import annotations

from consumers.masking import mask_secrets


class SalepulseError(Exception):
    """An expected failure, shown to the user as one line without secrets."""

    exit_code = 1
    """Exit code of the command: 1 for a failure, 2 for wrong usage."""

    def __init__(self, message: str, *, retriable: bool = False) -> None:
        super().__init__(mask_secrets(message))
        self.retriable = retriable
        """Whether the same call may succeed later."""


class UsageError(SalepulseError):
    """The user asked for something impossible, such as a missing path or an unknown topic."""

    exit_code = 2


def check_bootstrap(bootstrap: str) -> None:
    """Raise UsageError unless `bootstrap` is a comma-separated list of host:port."""
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise UsageError(
                f"{address.strip()!r} is not a Kafka address: write host:port, several separated by commas"
            )
