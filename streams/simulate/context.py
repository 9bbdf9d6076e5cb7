"""Immutable context of a run and of a slice, for every stage of the simulation."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from streams.simulate.catalog import Catalog
from streams.simulate.chance import Purpose, stream
from streams.simulate.columns import EventColumns, Ints, Objects, SimulatedEventType, draft
from streams.simulate.config import SimulationConfig
from streams.simulate.effects import ChanceSite, IncidentEffects
from streams.simulate.shoppers import Audience, Sessions


@dataclass(frozen=True, slots=True)
class RunContext:
    """Configuration, catalog, audience and incidents of a run."""

    config: SimulationConfig
    run: bytes
    """Six hex digits of seed and start, in every id: runs sent to one topic have different ids."""
    catalog: Catalog
    audience: Audience
    effects: IncidentEffects

    @classmethod
    def of(cls, config: SimulationConfig) -> RunContext:
        """Create the context. Raises SimulationError for an invalid incident."""
        run = hashlib.blake2b(f"{config.seed}:{config.start_ms}".encode(), digest_size=3).hexdigest().encode()
        effects = IncidentEffects(config)
        return cls(config, run, Catalog(config), Audience(config, run), effects)

    def rng(self, purpose: Purpose, slice_index: int) -> np.random.Generator:
        """The random generator of a purpose in a slice."""
        return stream(self.config.seed, purpose, slice_index)


@dataclass(frozen=True, slots=True)
class SliceContext:
    """A slice of the run: its sessions and index."""

    world: RunContext
    sessions: Sessions
    slice_index: int
    """Index of the slice, for its random streams."""

    @property
    def config(self) -> SimulationConfig:
        """Configuration of the run."""
        return self.world.config

    @property
    def effects(self) -> IncidentEffects:
        """Effects of the run's incidents."""
        return self.world.effects

    def rng(self, purpose: Purpose) -> np.random.Generator:
        """The random generator of a purpose."""
        return self.world.rng(purpose, self.slice_index)

    def clicks(
        self, kind: SimulatedEventType, session: Ints, at: Ints, tail: Objects | bytes = b"", value: Ints | None = None
    ) -> EventColumns:
        """One click for each (session, at), without those lost to a `click_stop`."""
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
