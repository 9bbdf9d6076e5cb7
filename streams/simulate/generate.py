"""The run: slice after slice of sessions, and what arrives meanwhile, as batches of messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from streams.simulate.announcement import announcement
from streams.simulate.columns import EventColumns, concat
from streams.simulate.config import SimulationConfig
from streams.simulate.disorder import send
from streams.simulate.encode import Encoder, Message
from streams.simulate.pending import PendingEvents
from streams.simulate.plan import SimulationError
from streams.simulate.shop import Shop, session_averages
from streams.simulate.sold import SimulatedSales
from streams.simulate.stock import SimulatedStock, expected_stock_events
from streams.simulate.traffic import Traffic
from streams.simulate.truth import Truth
from streams.simulate.world import RunContext


class Batch(NamedTuple):
    """What arrives in one step of arrival time. Steps in which nothing arrives have no batch."""

    arrival_ms: int
    """The step's end, epoch ms: everything here arrived before it, and not before the step's start."""
    messages: list[Message]
    """In order of arrival."""


class Simulation:
    """One run. Iterate over `batches`; `truth` counts what has been yielded of it, exactly so at its end."""

    def __init__(self, config: SimulationConfig) -> None:
        """SimulationError where the configuration or an incident makes no sense."""
        self.config = config
        self.world = RunContext.of(config)
        self.truth = Truth()
        self._traffic = Traffic(config)
        self._expected = session_averages(self.world, self._traffic)
        wanted = config.rate * config.duration_s - expected_stock_events(config)
        self.sessions = max(1.0, wanted / self._expected.events)
        """Expected sessions of the run, without incidents."""
        self._slices = self._traffic.slices(self.sessions, self.world.effects)
        self._encoder = Encoder(self.world.run)

    def batches(self, step_ms: int = 500) -> Iterator[Batch]:
        """The run's messages from its start, in steps of arrival time. What they are does not depend on the step."""
        if step_ms < 1:
            raise SimulationError(f"step_ms is {step_ms}: at least 1 is needed")
        start_ms, end_ms = self.config.start_ms, self.config.end_ms
        held, held_step = self._announced(), 0
        for rows in self._arrivals():
            messages = self._encoder.messages(rows)
            steps = (rows.arrival - start_ms) // step_ms
            cuts = [0, *(np.flatnonzero(np.diff(steps)) + 1).tolist(), len(messages)]
            for begin, end in pairwise(cuts):
                step = int(steps[begin])
                if step != held_step and held:
                    yield Batch(min(start_ms + (held_step + 1) * step_ms, end_ms), held)
                    held = []
                held_step = step
                held += messages[begin:end]
        if held:
            yield Batch(min(start_ms + (held_step + 1) * step_ms, end_ms), held)

    def _announced(self) -> list[Message]:
        config = self.config
        stock = SimulatedStock(self.world, self.sessions * self._expected.units)
        buyers = (
            self.sessions * self._traffic.promotion_share() * (1 - stock.short_share * (1 - config.funnel.substitute))
        )
        messages = announcement(self.world, buyers * self._expected.promotion_gmv)
        self.truth = Truth(promotions=len(messages), sold=SimulatedSales.of(config))
        return messages

    def _arrivals(self) -> Iterator[EventColumns]:
        """Sent rows in order of arrival, a slice at a time, none empty."""
        stock = SimulatedStock(self.world, self.sessions * self._expected.units)
        shop = Shop(self.world, stock)
        pending = PendingEvents(np.array([part.end_ms for part in self._slices], dtype=np.int64))
        levels = stock.opening_rows()
        clicked, numbered = 0, len(levels)
        pending.add(replace(levels, number=np.arange(numbered, dtype=np.int64)))
        for part in self._slices:
            stocked = stock.events(part)
            clicks, others = shop.open(part.session_starts, part.index)
            others = concat([stocked, others])
            # Apart, so that what an incident does to orders leaves the clicks as they are, ids and arrival included.
            pending.add(send(self.world, clicks, clicked, 2 * part.index))
            pending.add(send(self.world, others, numbered, 2 * part.index + 1))
            clicked += len(clicks)
            numbered += len(others)
            if len(arrived := pending.pop(part.index)):
                self.truth.count(arrived)
                yield arrived


def generate(config: SimulationConfig, step_ms: int = 500) -> Iterator[Batch]:
    """The messages of a run as they arrive, `step_ms` of arrival time at a time."""
    return Simulation(config).batches(step_ms)
