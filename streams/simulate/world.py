"""What every stage of a run looks up: configuration, products, audience and incidents. None of it changes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from streams.simulate.catalog import Catalog
from streams.simulate.chance import Purpose, stream
from streams.simulate.config import SimulationConfig
from streams.simulate.effects import IncidentEffects
from streams.simulate.shoppers import Audience


@dataclass(frozen=True, slots=True)
class RunContext:
    """The fixed part of a run."""

    config: SimulationConfig
    run: bytes
    """Six hex digits of seed and start: part of every id, so that runs into one topic do not repeat each other's."""
    catalog: Catalog
    audience: Audience
    effects: IncidentEffects

    @classmethod
    def of(cls, config: SimulationConfig) -> RunContext:
        """Builds it; SimulationError for an incident that cannot be."""
        run = hashlib.blake2b(f"{config.seed}:{config.start_ms}".encode(), digest_size=3).hexdigest().encode()
        effects = IncidentEffects(config)
        return cls(config, run, Catalog(config), Audience(config, run), effects)

    def rng(self, purpose: Purpose, place: int) -> np.random.Generator:
        """The chance of a purpose in a slice."""
        return stream(self.config.seed, purpose, place)
