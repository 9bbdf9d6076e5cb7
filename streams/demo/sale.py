"""The sale that the demo plays: on the machine's clock, with one incident."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from consumers.producing import Ends, KeyedProducer
from streams.demo.tally import Tally
from streams.sending import Pace, send_batches
from streams.simulate import Batch, Simulation, SimulationConfig

INCIDENT = "conversion_drop@+22%/20%:size=0.8,channel=app"
"""At the opening, when most is at stake and most is seen of it, and early enough to see it pass."""
CHANNEL = "app"
"""Where the incident is."""
_STEP_MS = 100


@dataclass(slots=True)
class Sale:
    """A simulated sale that begins now, and what was sent of it."""

    simulation: Simulation
    tally: Tally = field(default_factory=Tally)

    @classmethod
    def beginning_now(cls, *, seed: int, rate: float, duration_s: float) -> Sale:
        """Takes a moment: a catalog and an audience are made up."""
        start_ms = int(time.time() * 1000)
        config = SimulationConfig.sized(
            seed=seed, rate=rate, duration_s=duration_s, start_ms=start_ms, incidents=(INCIDENT,)
        )
        return cls(Simulation(config))

    @property
    def config(self) -> SimulationConfig:
        return self.simulation.config

    @property
    def incident_ms(self) -> tuple[int, int]:
        """When the incident begins and ends, epoch ms."""
        incident = self.simulation.world.effects.incidents[0]
        return incident.start_ms, incident.end_ms

    async def play(self, bootstrap: str, stop: asyncio.Event) -> Ends:
        """Send it as it happens, to its end or until `stop`. All that the tally holds is in Kafka then."""
        async with KeyedProducer(bootstrap) as producer:
            return await send_batches(
                producer,
                self.simulation.batches(_STEP_MS),
                Pace.on_the_clock(self.config.start_ms),
                stop=stop,
                on_sent=self._count,
            )

    def _count(self, batch: Batch) -> None:
        self.tally.add(batch.messages)
