"""What was read and is not handed out as a record: values, which become dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from consumers.contract.rejection import Reason

CUT_BYTES = 2**16
"""So much is kept of what is too large to be kept whole."""

MessageHeaders = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Cut:
    """What tells of a value that was cut."""

    size: int
    """Bytes of the whole value."""
    sha256: str
    """Of the whole value, in hexadecimal."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Offsets of one partition whose records cannot be decoded as others are."""

    first: int
    last: int
    """Offset of the last of them: the same where it is one message."""
    reason: Reason
    """`too_large`: one message that is too large to be held. `unreadable_batch`: records are lost."""
    detail: str
    key: bytes | None = None
    value: bytes | None = None
    """Its beginning, where `cut`; of an unreadable batch the bytes as Kafka keeps them."""
    cut: Cut | None = None
    headers: MessageHeaders = ()
    timestamp: int | None = None
    """Epoch ms."""
