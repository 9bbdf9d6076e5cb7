"""Faults of what is recorded or counted; the shop sells as before. Times are seconds of the day as in `Journeys`."""

from __future__ import annotations

from dataclasses import dataclass

from alerts.rules.detect import HealthCheck


@dataclass(frozen=True, slots=True)
class SourceLoss:
    """A share of one producer's events does not come."""

    source: str
    from_s: int
    to_s: int
    share: float = 1.0
    counters: tuple[str, ...] = ()
    """Empty: all."""


@dataclass(frozen=True, slots=True)
class LateOrders:
    """Events of one producer of orders come late."""

    producer: int
    from_s: float
    to_s: float
    delay_s: int


@dataclass(frozen=True, slots=True)
class HealthFault:
    """A reading of the pipeline's health of one topic."""

    check: HealthCheck
    topic: str
    from_s: float
    to_s: float
    value: float


Fault = SourceLoss | LateOrders | HealthFault
