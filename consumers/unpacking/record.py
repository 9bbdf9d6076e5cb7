"""Kafka messages, those that cannot be decoded, and the errors of unreadable batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from consumers.contract.rejection import RejectionReason

TRUNCATION_BYTES = 2**16
"""Bytes kept of a record that is too large to be kept whole."""

MessageHeaders = Sequence[tuple[str, bytes | None]]


class Record(NamedTuple):
    """A Kafka message. aiokafka's records, which have the same fields, take its place wherever aiokafka parses."""

    offset: int
    timestamp: int | None
    """Epoch ms."""
    key: bytes | None
    value: bytes | None
    headers: MessageHeaders


@dataclass(frozen=True, slots=True)
class Truncation:
    """Size and hash of a truncated value."""

    size: int
    """Bytes of the whole value."""
    sha256: str
    """SHA-256 of the whole value, in hexadecimal."""


@dataclass(frozen=True, slots=True)
class SkippedRecords:
    """A range of offsets of one partition whose records cannot be decoded; they become dead letters."""

    first_offset: int
    last_offset: int
    """Inclusive; equal to `first_offset` for a single message."""
    reason: RejectionReason
    """`too_large` for one oversized message, `unreadable_batch` for lost records."""
    detail: str
    key: bytes | None = None
    value: bytes | None = None
    """The beginning if `truncation` is set; the raw batch if it is unreadable."""
    truncation: Truncation | None = None
    headers: MessageHeaders = ()
    timestamp: int | None = None
    """Epoch ms."""


class UnreadableError(Exception):
    """Bytes of a batch are invalid. The message names the problem.

    Caught in this package and in `consumers.kafka.bulk_fetch`, which return `SkippedRecords`.
    """


class CorruptBatchError(UnreadableError):
    """The bytes are damaged; another fetch may return valid ones."""
