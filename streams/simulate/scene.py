"""A slice of the run at work: its sessions, and the chance and incidents that concern them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streams.simulate.chance import Purpose
from streams.simulate.columns import Ints, Kind, Objects, Rows, draft
from streams.simulate.config import SimulationConfig
from streams.simulate.effects import Effects, Site
from streams.simulate.shoppers import Sessions
from streams.simulate.world import World


@dataclass(frozen=True, slots=True)
class Scene:
    """What every stage of a slice needs."""

    world: World
    sessions: Sessions
    place: int
    """The slice's number: makes its chance its own."""

    @property
    def config(self) -> SimulationConfig:
        return self.world.config

    @property
    def effects(self) -> Effects:
        return self.world.effects

    def rng(self, purpose: Purpose) -> np.random.Generator:
        """The chance of a purpose in this slice."""
        return self.world.rng(purpose, self.place)

    def clicks(
        self, kind: Kind, session: Ints, at: Ints, tail: Objects | bytes = b"", value: Ints | None = None
    ) -> Rows:
        """One click for each (session, at), without those that a `click_stop` loses."""
        sessions = self.sessions
        key, body, producer = sessions.key[session], sessions.body[session], sessions.producer[session]
        rows = draft(kind, at, key=key, body=body, producer=producer, tail=tail, value=value)
        return self._recorded(kind, rows, session) if self.effects.of("click_stop") else rows

    def _recorded(self, kind: Kind, rows: Rows, session: Ints) -> Rows:
        lost = np.zeros(len(rows), dtype=np.bool_)
        for incident, hit in self.effects.hits("click_stop", rows.ts, self.sessions.dims(session)):
            if incident.option("type") in (None, kind.type):
                lost |= hit & self.effects.lucky(incident, len(hit), Site.CLICK, self.place * len(Kind) + kind)
        return rows.take(~lost)
