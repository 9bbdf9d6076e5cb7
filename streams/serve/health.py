"""`/healthz` (liveness) and `/readyz` (whether answers are live)."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from streams.serve.answers import LiveView
from streams.serve.encoding import ApiModel, json_response
from streams.view.answer_status import NotLiveReason

router = APIRouter(tags=["health"])


class Health(ApiModel):
    """Whether the process works."""

    alive: bool


class Readiness(ApiModel):
    """Whether answers are live, the reasons if not, and what is counted."""

    ready: bool
    reasons: list[str]
    """Why answers are not live, one sentence each; empty if they are."""
    codes: list[NotLiveReason]
    """The codes of the reasons, once each; the label `reason` of `salepulse_not_live`."""
    now: int
    """Epoch ms, by Redis's clock, which ages are measured with."""
    not_in_as_of: list[str]
    """Topics that the as-of does not wait for (setting `as_of_topics`)."""
    read_at: int | None
    """Epoch ms: everything counted in Redis by then is in all later answers. Null: Redis never answered."""
    incomplete_since: int | None
    """Event time, epoch ms, from which records were lost before they were counted, as in all answers. It remains until
    `salepulse incomplete clear` and does not affect readiness."""
    incomplete: dict[str, int]
    """The same by partition (`orders/0`, also of `promotions`): event time from which it lost records."""
    positions: dict[str, int]
    """By partition (`orders/0`), the offset up to which records are in all later answers. Answers may include more."""


@router.get("/healthz", response_model=Health, responses={503: {"model": Health}})
async def healthz(live: LiveView) -> Response:
    """200 while the process follows the view, with or without Redis and workers; otherwise restart it."""
    return json_response({"alive": live.alive}, 200 if live.alive else 503)


@router.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}})
async def readyz(live: LiveView) -> Response:
    """200 when Redis answers and workers have counted all waiting records, also if there was none yet; otherwise 503
    with the reasons."""
    status, snapshot = live.answer_status(), live.snapshot
    answer = {
        "ready": status.live,
        "reasons": status.reasons,
        "codes": status.codes,
        "now": live.now_ms(),
        "not_in_as_of": [topic.value for topic in live.settings.not_in_as_of],
        "read_at": snapshot.read_ms or None,
        "incomplete_since": live.state.incomplete_since_ms,
        "incomplete": {str(partition): since_ms for partition, since_ms in live.state.incomplete.items()},
        "positions": snapshot.positions,
    }
    return json_response(answer, 200 if status.live else 503)
