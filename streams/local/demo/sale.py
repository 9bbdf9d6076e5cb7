"""The demo's sale: in real time, with one incident, after an earlier sale as its baseline."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from consumers.kafka.connection import KafkaTarget
from consumers.kafka.producer import EndOffsets, KeyedProducer
from streams.local.demo.proof import ExactCounts
from streams.simulate import Batch, Season, SimulationConfig
from streams.simulate.sending import SendingPace, send_batches

INCIDENT = "conversion_drop@+22%/20%:size=0.8,channel=app"
"""At the opening, where its effect is largest, and early enough to see it end."""
CHANNEL = "app"
"""The channel of the incident."""
_STEP_MS = 100


@dataclass(slots=True)
class Sale:
    """A simulated sale that begins now, its earlier sale, and the counts of the messages sent."""

    season: Season
    counts: ExactCounts = field(default_factory=ExactCounts)

    @classmethod
    def beginning_now(cls, *, seed: int, rate: float, duration_s: float) -> Sale:
        """Create the sale. Slow: generates a catalog and an audience."""
        start_ms = int(time.time() * 1000)
        config = SimulationConfig.sized(
            seed=seed, rate=rate, duration_s=duration_s, start_ms=start_ms, incidents=(INCIDENT,)
        )
        # A long sale is not compressed, and its earlier sale would be days ago.
        return cls(Season(config, earlier=int(config.compressed)))

    @property
    def config(self) -> SimulationConfig:
        """Configuration of the present sale."""
        return self.season.config

    @property
    def incident_ms(self) -> tuple[int, int]:
        """Start and end of the incident, epoch ms."""
        incident = self.season.present.world.effects.incidents[0]
        return incident.start_ms, incident.end_ms

    @property
    def promotion_id(self) -> str:
        """The sale's promotion."""
        assert self.config.promotion is not None
        return self.config.promotion.promotion_id

    async def play(self, kafka: KafkaTarget, stop: asyncio.Event) -> EndOffsets:
        """Send the earlier sale at once and the present one in real time, until its end or `stop`."""
        async with KeyedProducer(kafka) as producer:
            return await send_batches(
                producer,
                self.season.batches(_STEP_MS),
                SendingPace.real_time(self.config.start_ms),
                stop=stop,
                on_sent=self._count,
            )

    def _count(self, batch: Batch) -> None:
        self.counts.add(batch.messages)
