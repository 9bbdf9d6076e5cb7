"""The sale that the demo plays: on the machine's clock, with one incident, and after an earlier one to compare with."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from consumers.kafka.connection import KafkaTarget
from consumers.kafka.producer import EndOffsets, KeyedProducer
from streams.local.demo.exact_counts import ExactCounts
from streams.simulate import Batch, Season, SimulationConfig
from streams.simulate.sending import SendingPace, send_batches

INCIDENT = "conversion_drop@+22%/20%:size=0.8,channel=app"
"""At the opening, when most is at stake and most is seen of it, and early enough to see it pass."""
CHANNEL = "app"
"""Where the incident is."""
_STEP_MS = 100


@dataclass(slots=True)
class Sale:
    """A simulated sale that begins now, the one before it, and what was sent of both."""

    season: Season
    tally: ExactCounts = field(default_factory=ExactCounts)

    @classmethod
    def beginning_now(cls, *, seed: int, rate: float, duration_s: float) -> Sale:
        """Takes a moment: a catalog and an audience are made up."""
        start_ms = int(time.time() * 1000)
        config = SimulationConfig.sized(
            seed=seed, rate=rate, duration_s=duration_s, start_ms=start_ms, incidents=(INCIDENT,)
        )
        # A long sale runs at life's own speed, and the one before it would lie days back.
        return cls(Season(config, earlier=int(config.compressed)))

    @property
    def config(self) -> SimulationConfig:
        """Of the sale that begins now."""
        return self.season.config

    @property
    def incident_ms(self) -> tuple[int, int]:
        """When the incident begins and ends, epoch ms."""
        incident = self.season.present.world.effects.incidents[0]
        return incident.start_ms, incident.end_ms

    @property
    def promotion_id(self) -> str:
        """The promotion that the sale is."""
        assert self.config.promotion is not None
        return self.config.promotion.promotion_id

    async def play(self, kafka: KafkaTarget, stop: asyncio.Event) -> EndOffsets:
        """Send it as it happens, what is past at once, to its end or until `stop`. The tally is all in Kafka then."""
        async with KeyedProducer(kafka) as producer:
            return await send_batches(
                producer,
                self.season.batches(_STEP_MS),
                SendingPace.on_the_clock(self.config.start_ms),
                stop=stop,
                on_sent=self._count,
            )

    def _count(self, batch: Batch) -> None:
        self.tally.add(batch.messages)
