"""What cannot be read."""

from __future__ import annotations


class UnreadableError(Exception):
    """Bytes of a batch are not what they should be. The message says what is wrong with them.

    Raised and caught inside this package and by `consumers.kafka.bulk_fetch`: it leaves as a `Skipped`.
    """


class CorruptBatchError(UnreadableError):
    """Its bytes are not what was written: they may be right when they are fetched again."""
