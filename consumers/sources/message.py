"""A message of a source while it is being mapped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from consumers.contract.rejection import RejectionReason
from consumers.sources.values import MappingError


@dataclass(slots=True)
class SourceMessage:
    """A decoded message without its envelope."""

    root: Any
    """The object that paths start at."""
    topic: str
    partition: int
    offset: int
    headers: Sequence[tuple[str, bytes | None]] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """What the envelope holds beside the message, under the names that headers have (`ce_id`, `__op`)."""

    def header(self, name: str) -> Any:
        """An attribute of the envelope, or the last header of this name as text; None if there is neither."""
        if name in self.attributes:
            return self.attributes[name]
        for header, value in reversed(self.headers):
            if header == name:
                try:
                    return None if value is None else value.decode()
                except UnicodeDecodeError:
                    raise MappingError(RejectionReason.BAD_ENCODING, f"header `{name}` is not UTF-8") from None
        return None

    @property
    def record_id(self) -> str:
        """Topic, partition and offset: unique as long as the topic is not recreated."""
        return f"{self.topic}/{self.partition}/{self.offset}"
