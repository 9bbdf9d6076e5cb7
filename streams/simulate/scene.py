"""A slice of the run at work: its sessions, and the chance and incidents that concern them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streams.simulate.chance import Purpose
from streams.simulate.columns import EventColumns, Ints, Objects, SimulatedEventType, draft
from streams.simulate.config import SimulationConfig
from streams.simulate.effects import ChanceSite, IncidentEffects
from streams.simulate.shoppers import Sessions
from streams.simulate.world import RunContext


@dataclass(frozen=True, slots=True)
class SliceContext:
    """What every stage of a slice needs."""

    world: RunContext
    sessions: Sessions
    slice_index: int
    """The slice's number: makes its chance its own."""

    @property
    def config(self) -> SimulationConfig:
        return self.world.config

    @property
    def effects(self) -> IncidentEffects:
        return self.world.effects

    def rng(self, purpose: Purpose) -> np.random.Generator:
        """The chance of a purpose in this slice."""
        return self.world.rng(purpose, self.slice_index)

    def clicks(
        self, kind: SimulatedEventType, session: Ints, at: Ints, tail: Objects | bytes = b"", value: Ints | None = None
    ) -> EventColumns:
        """One click for each (session, at), without those that a `click_stop` loses."""
        sessions = self.sessions
        key, body, producer = sessions.key[session], sessions.body[session], sessions.producer[session]
        rows = draft(kind, at, key=key, body=body, producer=producer, tail=tail, value=value)
        return self._recorded(kind, rows, session) if self.effects.of("click_stop") else rows

    def _recorded(self, kind: SimulatedEventType, rows: EventColumns, session: Ints) -> EventColumns:
        lost = np.zeros(len(rows), dtype=np.bool_)
        for incident, hit in self.effects.hits("click_stop", rows.ts, self.sessions.dims(session)):
            if incident.option("type") in (None, kind.type):
                lost |= hit & self.effects.sampled(
                    incident, len(hit), ChanceSite.CLICK, self.slice_index * len(SimulatedEventType) + kind
                )
        return rows.take(~lost)
