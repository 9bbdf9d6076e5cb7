"""`/healthz` (the process works) and `/readyz` (what it shows may be taken for the present)."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from streams.serve.answer_status import NotLiveReason
from streams.serve.answers import LiveView
from streams.serve.encoding import json_response

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """Whether the process does its work."""

    alive: bool


class Readiness(BaseModel):
    """Whether it is connected and caught up, and if not, each reason in a sentence; and up to where answers count."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    ready: bool
    reasons: list[str]
    """Why it is not, one sentence each; none when it is."""
    codes: list[NotLiveReason]
    """The kinds of these reasons, each once, for programs; the label `reason` of `salepulse_not_live`."""
    now: int
    """Epoch ms: the clock that ages go by, which is Redis's."""
    not_in_as_of: list[str]
    """Topics that the as-of does not wait for (setting `as_of_topics`)."""
    read_at: int | None
    """Epoch ms: whatever was counted in Redis by then is in every answer from now on. Null: Redis never answered."""
    incomplete_since: int | None
    """As every answer has it: event time, epoch ms, from which events were lost before they were counted. It stays
    until `salepulse incomplete clear`, and keeps no server from being ready."""
    incomplete: dict[str, int]
    """The same by partition (`orders/0`), and of `promotions` too: those that lost records, and since when."""
    positions: dict[str, int]
    """Offset, by partition (`orders/0`), up to which records are in every answer from now on. Answers may hold more."""


@router.get("/healthz", response_model=Health, responses={503: {"model": Health}})
async def healthz(live: LiveView) -> Response:
    """200 while the view is followed, whatever Redis and the workers do; else restart the process."""
    return json_response({"alive": live.alive}, 200 if live.alive else 503)


@router.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}})
async def readyz(live: LiveView) -> Response:
    """200 when Redis answers, every partition is attended and counted, and there is an as-of; else 503 with reasons."""
    found, held = live.answer_status(), live.snapshot
    answer = {
        "ready": found.live,
        "reasons": found.reasons,
        "codes": found.codes,
        "now": live.now_ms(),
        "not_in_as_of": [topic.value for topic in live.settings.not_in_as_of],
        "read_at": held.read_ms or None,
        "incomplete_since": live.state.incomplete_since_ms,
        "incomplete": {str(partition): since_ms for partition, since_ms in live.state.incomplete.items()},
        "positions": held.positions,
    }
    return json_response(answer, 200 if found.live else 503)
