"""`/healthz` (the process works) and `/readyz` (what it shows may be taken for the present)."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import Response

from streams.serve.asking import LiveView
from streams.serve.encoding import json_response

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """Whether the process does its work."""

    alive: bool


class Readiness(BaseModel):
    """Whether it is connected and caught up, and if not, each reason in a sentence."""

    ready: bool
    reasons: list[str]


@router.get("/healthz", response_model=Health, responses={503: {"model": Health}})
async def healthz(live: LiveView) -> Response:
    """200 while the view is followed, whatever Redis and the workers do; else restart the process."""
    return json_response({"alive": live.alive}, 200 if live.alive else 503)


@router.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}})
async def readyz(live: LiveView) -> Response:
    """200 when Redis answers, every partition is attended and counted, and there is an as-of; else 503 with reasons."""
    reasons = live.standing().reasons
    return json_response({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)
