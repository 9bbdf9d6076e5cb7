"""`/api/v1/alerts` and `/api/v1/silences` of `salepulse serve`.

The routes read and write Redis; the leader applies acknowledgements and silences in its next round.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from alerts.api.silences import SilencePayload, SilenceRequest, silence_payload
from alerts.findings import Severity
from alerts.payloads import AckPayload, AlertPayload, RulePayload, alert_payload, rule_payload
from alerts.rule_states import RuleCondition, RuleStates
from alerts.settings import shop_info
from alerts.shop import ShopInfo
from alerts.state.alert import Status
from alerts.store.acks_and_silences import AcksAndSilences
from alerts.store.keys import AlertKeys
from alerts.store.rule_states import read_rule_states
from alerts.store.states import StoredChanges
from streams.serve.broadcast import Broadcast
from streams.serve.errors import ERRORS, ApiError, ErrorAnswer
from streams.serve.live import Live
from streams.serve.paths import PathId
from streams.settings import Settings
from streams.store.connection import Access, connect
from streams.store.keys import Keys
from streams.store.last_evaluation import LastEvaluation, read_last_evaluation


@dataclass(frozen=True, slots=True)
class _Dependencies:
    acks_and_silences: AcksAndSilences
    rules: Callable[[], Awaitable[RuleStates]]
    shop: ShopInfo
    evaluated: Callable[[], Awaitable[LastEvaluation]]
    settings: Settings
    now_ms: Callable[[], int]
    """The shared clock of all processes."""


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    live: Live = app.state.live
    broadcast: Broadcast = app.state.broadcast
    settings = live.settings
    redis, keys = connect(settings, Access.READ), AlertKeys(settings.redis_prefix)
    evaluated = partial(read_last_evaluation, redis, Keys(settings.redis_prefix, settings.shards))
    app.state.alerts = _Dependencies(
        AcksAndSilences(redis, keys),
        partial(read_rule_states, redis, keys),
        shop_info(settings),
        evaluated,
        settings,
        live.now_ms,
    )
    try:
        async with broadcast.relay_alerts(StoredChanges(redis, keys)):
            yield
    finally:
        await redis.aclose()


router = APIRouter(prefix="/api/v1", tags=["alerts"], lifespan=_lifespan)


async def _dependencies(request: Request) -> _Dependencies:
    dependencies: _Dependencies = request.app.state.alerts
    return dependencies


AlertDependencies = Annotated[_Dependencies, Depends(_dependencies)]
Fingerprint = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
_MISSING: dict[int | str, dict[str, Any]] = {404: {"model": ErrorAnswer, "description": "There is none of this name."}}


class AlertsResponse(BaseModel):
    """Pending and firing alerts, and those resolved within a day."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    evaluated_at: int | None
    """Time of the last evaluation, epoch ms; null: never."""
    live: bool
    """Whether it is recent. If not, `salepulse alerts` is not running, and the states are outdated."""
    awaits_events: bool
    """Whether `salepulse alerts` is running and waits for the first event."""
    alerts: list[AlertPayload]
    """Most recent change of status first."""


class RulesResponse(BaseModel):
    """All rules, in the order of the rule file."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    as_of: int | None
    """Event time of the states; null: no evaluation yet."""
    evaluated_at: int | None
    """Time of the last evaluation, epoch ms; null: never."""
    live: bool
    """Whether it is recent. If not, `salepulse alerts` is not running: no rule watches, whatever its last state."""
    rules: list[RulePayload]


class AckRequest(BaseModel):
    """Acknowledgement of an alert."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    by: str = Field(min_length=1, max_length=128)
    comment: str = Field("", max_length=1000)


class AckResponse(BaseModel):
    """The stored acknowledgement."""

    fingerprint: str
    ack: AckPayload


class SilencesResponse(BaseModel):
    """Silences, latest end first, including those that ended within a day."""

    silences: list[SilencePayload]


@router.get("/alerts", response_model=AlertsResponse, responses=ERRORS)
async def alerts(
    dependencies: AlertDependencies,
    state: Annotated[Status | None, Query(description="Only those in this state.")] = None,
    severity: Annotated[Severity | None, Query(description="Only those of this severity.")] = None,
    rule: Annotated[str | None, Query(max_length=64, description="Only those of this rule.")] = None,
) -> AlertsResponse:
    """List alerts, newest first."""
    evaluated = await dependencies.evaluated()  # before the alerts, which are then at least as recent
    now_ms = dependencies.now_ms()
    matching = [
        alert
        for alert in await dependencies.acks_and_silences.alerts()
        if state in (None, alert.status) and severity in (None, alert.severity) and rule in (None, alert.series.rule)
    ]
    return AlertsResponse(
        evaluated_at=evaluated.at_ms,
        live=evaluated.is_recent(now_ms, dependencies.settings),
        awaits_events=evaluated.awaits_events(now_ms, dependencies.settings),
        alerts=[alert_payload(alert, dependencies.shop) for alert in matching],
    )


@router.get("/alerts/rules", response_model=RulesResponse, responses=ERRORS)
async def rules(
    dependencies: AlertDependencies,
    state: Annotated[RuleCondition | None, Query(description="Only those in this state.")] = None,
) -> RulesResponse:
    """List rules: whether each watches, learns, is inhibited, has no data or is off."""
    evaluated = await dependencies.evaluated()
    states = await dependencies.rules()
    return RulesResponse(
        as_of=states.as_of_ms or None,
        evaluated_at=evaluated.at_ms,
        live=evaluated.is_recent(dependencies.now_ms(), dependencies.settings),
        rules=[rule_payload(rule) for rule in states.rules if state in (None, rule.status.condition)],
    )


@router.post(
    "/alerts/{fingerprint}/ack",
    response_model=AckResponse,
    responses={**ERRORS, **_MISSING, 409: {"model": ErrorAnswer, "description": "It does not fire."}},
)
async def acknowledge(dependencies: AlertDependencies, fingerprint: Fingerprint, request: AckRequest) -> AckResponse:
    """Acknowledge an incident: no one else is notified unless the severity increases."""
    ack = await dependencies.acks_and_silences.acknowledge(
        fingerprint, by=request.by, comment=request.comment, now_ms=dependencies.now_ms()
    )
    if ack is None:
        alert = await dependencies.acks_and_silences.alert(fingerprint)
        if alert is None:
            raise ApiError(404, "unknown_alert", f"there is no alert {fingerprint}; GET /api/v1/alerts lists them")
        raise ApiError(409, "not_firing", f"alert {fingerprint} is {alert.status}: acknowledge firing alerts only")
    return AckResponse(fingerprint=fingerprint, ack=AckPayload(by=ack.by, at=ack.at_ms, comment=ack.comment))


@router.get("/silences", response_model=SilencesResponse, responses=ERRORS)
async def silences(dependencies: AlertDependencies) -> SilencesResponse:
    """List silences."""
    return SilencesResponse(
        silences=[
            silence_payload(silence) for silence in await dependencies.acks_and_silences.silences(dependencies.now_ms())
        ]
    )


@router.post("/silences", response_model=SilencePayload, status_code=201, responses=ERRORS)
async def silence(dependencies: AlertDependencies, request: SilenceRequest) -> SilencePayload:
    """Silence matching alerts for a time."""
    try:
        wanted = request.silence(dependencies.now_ms())
    except ValueError as error:
        raise ApiError(422, "invalid_parameter", str(error)) from None
    return silence_payload(await dependencies.acks_and_silences.silence(wanted))


@router.delete("/silences/{silence_id}", status_code=204, responses={**ERRORS, **_MISSING})
async def end_silence(dependencies: AlertDependencies, silence_id: Annotated[PathId, Path(max_length=64)]) -> Response:
    """End a silence now."""
    if not await dependencies.acks_and_silences.end_silence(silence_id, dependencies.now_ms()):
        raise ApiError(404, "unknown_silence", f"there is no silence {silence_id!r}; GET /api/v1/silences lists them")
    return Response(status_code=204)
