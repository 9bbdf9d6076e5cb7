"""Errors of unreadable batches."""

from __future__ import annotations


class UnreadableError(Exception):
    """Bytes of a batch are invalid. The message names the problem.

    Caught in this package and in `consumers.kafka.bulk_fetch`, which return `SkippedRecords`.
    """


class CorruptBatchError(UnreadableError):
    """The bytes are damaged; another fetch may return valid ones."""
