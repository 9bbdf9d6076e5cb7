"""What was read and is not handed out as a record: values, which become dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from consumers.contract.rejection import RejectionReason

TRUNCATION_BYTES = 2**16
"""So much is kept of what is too large to be kept whole."""

MessageHeaders = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Truncation:
    """What tells of a value that was cut."""

    size: int
    """Bytes of the whole value."""
    sha256: str
    """Of the whole value, in hexadecimal."""


@dataclass(frozen=True, slots=True)
class SkippedRecords:
    """Offsets of one partition whose records cannot be decoded as others are."""

    first_offset: int
    last_offset: int
    """Offset of the last of them: the same where it is one message."""
    reason: RejectionReason
    """`too_large`: one message that is too large to be held. `unreadable_batch`: records are lost."""
    detail: str
    key: bytes | None = None
    value: bytes | None = None
    """Its beginning, where `truncation`; of an unreadable batch the bytes as Kafka keeps them."""
    truncation: Truncation | None = None
    headers: MessageHeaders = ()
    timestamp: int | None = None
    """Epoch ms."""
