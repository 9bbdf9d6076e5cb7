"""Options and helpers shared by the commands on stored alerts."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from streams.settings import Settings

if TYPE_CHECKING:
    from alerts.store.acks_and_silences import AcksAndSilences

Result = TypeVar("Result")
AuthorOption = Annotated[str | None, typer.Option(help="Author (default: current user).")]
CommentOption = Annotated[str, typer.Option(help="Reason.")]


async def with_acks_and_silences(settings: Settings, work: Callable[[AcksAndSilences], Awaitable[Result]]) -> Result:
    """Run `work` on the stored alerts, acknowledgements and silences."""
    from alerts.store.acks_and_silences import AcksAndSilences
    from alerts.store.keys import AlertKeys
    from streams.store.connection import Access, connect, user_errors

    redis = connect(settings, Access.READ)
    try:
        with user_errors(redis):
            return await work(AcksAndSilences(redis, AlertKeys(settings.redis_prefix)))
    finally:
        await redis.aclose()


def now_ms() -> int:
    """Return the current time in epoch ms."""
    return int(time.time() * 1000)
