"""Requests and responses of silences, for the API and the command line."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from alerts.notify.receivers import ParsedMatcher, WeeklyIntervalConfig, parse_duration_ms
from alerts.state.silences import Silence

MAX_SILENCE_MS = 400 * 86_400_000


class SilenceRequest(BaseModel):
    """A requested silence. Times are epoch ms."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    matchers: Annotated[tuple[ParsedMatcher, ...], Field(min_length=1, max_length=20)]
    """Matchers such as `rule=order-silence`, `channel=~a.*`, `severity!=critical`; all must match."""
    starts_at: int | None = Field(None, ge=0)
    """Default: now."""
    ends_at: int | None = Field(None, ge=0)
    duration: Annotated[int, BeforeValidator(parse_duration_ms)] | None = None
    """`30m`, `2h` or `1d`, instead of `ends_at`."""
    promotion: str | None = Field(None, max_length=128)
    """Only while this promotion runs; `*`: while any promotion runs."""
    weekly: WeeklyIntervalConfig | None = None
    """Only in this weekly interval."""
    by: str = Field(max_length=128)
    comment: str = Field("", max_length=1000)

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if (self.ends_at is None) == (self.duration is None):
            raise ValueError("the end is missing or ambiguous: write either ends_at or duration")
        return self

    def silence(self, now_ms: int) -> Silence:
        """Convert to a silence. Raises ValueError if it ends before it starts, or in more than 400 days."""
        starts_ms = now_ms if self.starts_at is None else self.starts_at
        ends_ms = starts_ms + (self.duration or 0) if self.ends_at is None else self.ends_at
        if ends_ms <= max(starts_ms, now_ms):
            raise ValueError("it ends before it starts, or has ended")
        if ends_ms - now_ms > MAX_SILENCE_MS:
            raise ValueError("it ends in more than 400 days")
        return Silence(
            id="",
            matchers=self.matchers,
            starts_ms=starts_ms,
            ends_ms=ends_ms,
            promotion=self.promotion,
            weekly=None if self.weekly is None else self.weekly.weekly(),
            by=self.by,
            comment=self.comment,
            created_ms=now_ms,
        )


class SilencePayload(BaseModel):
    """A silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    id: str
    matchers: list[str]
    starts_at: int
    ends_at: int
    promotion: str | None
    weekly: str | None
    by: str
    comment: str


def silence_payload(silence: Silence) -> SilencePayload:
    """Convert a silence."""
    return SilencePayload(
        id=silence.id,
        matchers=[str(matcher) for matcher in silence.matchers],
        starts_at=silence.starts_ms,
        ends_at=silence.ends_ms,
        promotion=silence.promotion,
        weekly=None if silence.weekly is None else str(silence.weekly),
        by=silence.by,
        comment=silence.comment,
    )
