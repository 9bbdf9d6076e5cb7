"""`/api/v1/alerts` and `/api/v1/silences`, for `salepulse serve`: what Redis holds of alerts, and what people say.

Nothing here evaluates or sends: the process that leads heeds what is written within a round.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from alerts.api.schemas import ShownAck, ShownAlert, shown
from alerts.api.silences import ShownSilence, SilenceWish, shown_silence
from alerts.findings import Severity
from alerts.notify.wording import Place
from alerts.settings import place_of
from alerts.state.alert import Status
from alerts.store.changes import StoredChanges
from alerts.store.keys import AlertKeys
from alerts.store.said import Said
from streams.serve.broadcast import Broadcast
from streams.serve.errors import ERRORS, ApiError, ErrorAnswer
from streams.serve.live import Live
from streams.serve.paths import PathId
from streams.settings import Settings
from streams.store.connection import Access, connect
from streams.store.evaluated import Evaluated, read_evaluated
from streams.store.keys import Keys


@dataclass(frozen=True, slots=True)
class _Kept:
    said: Said
    place: Place
    evaluated: Callable[[], Awaitable[Evaluated]]
    settings: Settings
    now_ms: Callable[[], int]
    """The clock that all processes go by."""


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    live: Live = app.state.live
    broadcast: Broadcast = app.state.broadcast
    settings = live.settings
    redis, keys = connect(settings, Access.READ), AlertKeys(settings.redis_prefix)
    evaluated = partial(read_evaluated, redis, Keys(settings.redis_prefix, settings.shards))
    app.state.alerts = _Kept(Said(redis, keys), place_of(settings), evaluated, settings, live.now_ms)
    try:
        async with broadcast.alerts_from(StoredChanges(redis, keys)):
            yield
    finally:
        await redis.aclose()


router = APIRouter(prefix="/api/v1", tags=["alerts"], lifespan=_lifespan)


async def _kept(request: Request) -> _Kept:
    kept: _Kept = request.app.state.alerts
    return kept


Kept = Annotated[_Kept, Depends(_kept)]
Fingerprint = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
_MISSING: dict[int | str, dict[str, Any]] = {404: {"model": ErrorAnswer, "description": "There is none of this name."}}


class AlertsAnswer(BaseModel):
    """The alerts that are kept: pending, firing, and for a day those that are over."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    evaluated_at: int | None
    """When the rules were last evaluated, epoch ms; null: never."""
    live: bool
    """Whether that was lately. If not, no `salepulse alerts` is at work: what began or ended since is not known."""
    awaits_events: bool
    """Whether `salepulse alerts` is at work without an as-of: it evaluates the rules from the first event on."""
    alerts: list[ShownAlert]
    """The newest change of state first."""


class AckWish(BaseModel):
    """Somebody is on it."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    by: str = Field(min_length=1, max_length=128)
    comment: str = Field("", max_length=1000)


class AckAnswer(BaseModel):
    """An acknowledgement that was taken."""

    fingerprint: str
    ack: ShownAck


class SilencesAnswer(BaseModel):
    """The silences, those that end last first; those that are over are shown for a day."""

    silences: list[ShownSilence]


@router.get("/alerts", response_model=AlertsAnswer, responses=ERRORS)
async def alerts(
    kept: Kept,
    state: Annotated[Status | None, Query(description="Only those in this state.")] = None,
    severity: Annotated[Severity | None, Query(description="Only those of this severity.")] = None,
    rule: Annotated[str | None, Query(max_length=64, description="Only those of this rule.")] = None,
) -> AlertsAnswer:
    """The alerts, newest first."""
    evaluated, now_ms = await kept.evaluated(), kept.now_ms()  # before the alerts: they are at least as new as it says
    found = [
        alert
        for alert in await kept.said.alerts()
        if state in (None, alert.status) and severity in (None, alert.severity) and rule in (None, alert.series.rule)
    ]
    return AlertsAnswer(
        evaluated_at=evaluated.at_ms,
        live=evaluated.lately(now_ms, kept.settings),
        awaits_events=evaluated.awaits_events(now_ms, kept.settings),
        alerts=[shown(alert, kept.place) for alert in found],
    )


@router.post(
    "/alerts/{fingerprint}/ack",
    response_model=AckAnswer,
    responses={**ERRORS, **_MISSING, 409: {"model": ErrorAnswer, "description": "It does not fire."}},
)
async def acknowledge(kept: Kept, fingerprint: Fingerprint, wish: AckWish) -> AckAnswer:
    """Say that somebody is on it: nobody else is called in this incident, unless it gets worse."""
    ack = await kept.said.acknowledge(fingerprint, by=wish.by, comment=wish.comment, now_ms=kept.now_ms())
    if ack is None:
        alert = await kept.said.alert(fingerprint)
        if alert is None:
            raise ApiError(404, "unknown_alert", f"there is no alert {fingerprint}; GET /api/v1/alerts lists them")
        raise ApiError(409, "not_firing", f"alert {fingerprint} is {alert.status}: only what fires can be acknowledged")
    return AckAnswer(fingerprint=fingerprint, ack=ShownAck(by=ack.by, at=ack.at_ms, comment=ack.comment))


@router.get("/silences", response_model=SilencesAnswer, responses=ERRORS)
async def silences(kept: Kept) -> SilencesAnswer:
    """The silences."""
    return SilencesAnswer(silences=[shown_silence(one) for one in await kept.said.silences(kept.now_ms())])


@router.post("/silences", response_model=ShownSilence, status_code=201, responses=ERRORS)
async def silence(kept: Kept, wish: SilenceWish) -> ShownSilence:
    """Have nobody told of some alerts for a while."""
    try:
        wanted = wish.silence(kept.now_ms())
    except ValueError as error:
        raise ApiError(422, "invalid_parameter", str(error)) from None
    return shown_silence(await kept.said.silence(wanted))


@router.delete("/silences/{silence_id}", status_code=204, responses={**ERRORS, **_MISSING})
async def end_silence(kept: Kept, silence_id: Annotated[PathId, Path(max_length=64)]) -> Response:
    """End a silence now."""
    if not await kept.said.end_silence(silence_id, kept.now_ms()):
        raise ApiError(404, "unknown_silence", f"there is no silence {silence_id!r}; GET /api/v1/silences lists them")
    return Response(status_code=204)
