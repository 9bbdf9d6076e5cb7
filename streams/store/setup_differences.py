"""Whether all workers have the present model and sources. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from streams.dictionary.builtin import BUILT_IN
from streams.dictionary.fingerprint import fingerprint_of
from streams.store.keys import ALERTS_NAME
from streams.store.process_reports import REPORTED_WITHIN_MS, ProcessReports, recent_reports


@dataclass(frozen=True, slots=True)
class SetupDifference:
    """Why not all is counted by the present model and sources, and what helps."""

    problem: str
    fix: str


def setup_difference(
    setups: Iterable[str], reports: ProcessReports, now_ms: int, *, changing: bool, loaded_generation: int = 0
) -> SetupDifference | None:
    """The difference between workers, or between shards; None if there is none.

    `setups`: the token of each shard, empty if it has none. `changing`: whether a change is not complete.
    `loaded_generation`: of the model that a server answers by; 0: the built-in one.
    """
    tokens = sorted({token for token in setups if token}, key=_generation)
    if changing or len(tokens) > 1:
        return SetupDifference(
            "a worker with another model or other sources started, and its change is not complete",
            "wait some seconds; if this stays, that worker was killed meanwhile: start one",
        )
    if not tokens:
        return None
    if loaded_generation and loaded_generation != _generation(tokens[0]):
        return SetupDifference("this server has not loaded the present model yet", "retry in a few seconds")
    others = {
        name: report.setup
        for name, report in recent_reports(reports, now_ms - REPORTED_WITHIN_MS)
        if not name.startswith(ALERTS_NAME) and not _counts_the_same(report.setup, tokens[0])
    }
    if not others:
        return None
    listed = ", ".join(f"{name} has {_identity(token) or 'a release without models'}" for name, token in others.items())
    return SetupDifference(
        f"workers differ in model or sources: {listed}, and the present is {_identity(tokens[0])}",
        "start all with the same files and release; those with the former end by themselves",
    )


def _counts_the_same(token: str, present: str) -> bool:
    # a release without models counts by the built-in one
    return token == present or (not token and _identity(present) == _built_in())


@cache
def _built_in() -> str:
    return fingerprint_of(BUILT_IN, "")


def _generation(token: str) -> int:
    return int(token.split(" ")[0])


def _identity(token: str) -> str:
    return token.partition(" ")[2]
