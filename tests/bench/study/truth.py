"""What is asked for and what is true of an incident."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from alerts.findings import Labels

WHOLE: Labels = ()
SOON_S = 3600.0
"""A stock-out may be reported so long before: the rule forecasts half an hour, and forecasts err."""


class ReportedAs(StrEnum):
    """What a page that names an incident must say to be right."""

    LOSS = "loss"
    """A page of category `business`."""
    DATA = "data"
    """A page of category `data`: the shop sells as before."""
    STOP = "stop"
    """A page of any category: what sends no event has stopped, or is not recorded."""
    DELAY = "delay"
    """A warning that says that something is late or missing."""


@dataclass(frozen=True, slots=True)
class IncidentSpec:
    """An incident to inject: seconds are of the sale."""

    kind: str
    start_s: float = 900.0
    lasts_s: float = 600.0
    size: float = 1.0
    """Share that is lost."""
    labels: Labels = WHOLE
    """Where: empty, or one (dimension, value)."""

    def __str__(self) -> str:
        where = ", ".join(f"{name} {value}" for name, value in self.labels) or "whole"
        return f"{self.kind} {self.size:.0%} {where}"


@dataclass(frozen=True, slots=True)
class TrueIncident:
    """What is true of an incident. Times are seconds of the day as in `Journeys`."""

    spec: IncidentSpec
    start_s: float
    end_s: float
    names: frozenset[Labels]
    """A page that names one of these, or some of their pairs, is about it."""
    lost: float = 0.0
    """GMV, minor units; 0 where only data are wrong."""
    reported_as: ReportedAs = ReportedAs.LOSS
    early_s: float = 0.0
    """A page so long before the start is right, too."""
    bound_s: float = math.nan
    """Bernoulli's for rates, else Poisson's."""
    poisson_s: float = math.nan
    """Lorden's for the Poisson count, where the incident is a rate's."""
    delayed_s: float = math.nan
    """The one of delayed rates, where orders are lost."""

    @property
    def lost_per_minute(self) -> float:
        return 60 * self.lost / (self.end_s - self.start_s)
