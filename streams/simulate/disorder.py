"""Delivery of events: ids, clock skew, delays, duplicates and losses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from consumers.topics import EVENT_TOPICS, Topic
from streams.simulate.chance import Purpose, trait
from streams.simulate.columns import Bools, Bytes, EventColumns, Floats, Ints, SimulatedEventType, concat
from streams.simulate.context import RunContext
from streams.simulate.incidents import Incident

LATENCY_SIGMA, LATENCY_MAX_MS = 0.8, 3000.0
REPEAT_MEAN_MS = 3000.0
TOPIC_CODE: Bytes = np.array([EVENT_TOPICS.index(kind.topic) for kind in SimulatedEventType], dtype=np.uint8)
"""[type]: index of its topic in EVENT_TOPICS"""


def send(world: RunContext, rows: EventColumns, first_number: int, slice_index: int) -> EventColumns:
    """Rows that arrive within the run, unordered, with ids, clock skew, arrival times and duplicates."""
    config = world.config
    rng = world.rng(Purpose.DISORDER, slice_index)
    number = first_number + np.arange(len(rows), dtype=np.int64)
    delay, is_repeated = _delays(world, rng, len(rows)), rng.random(len(rows)) < config.disorder.repeat_share
    repeat_delay = (200 + rng.exponential(REPEAT_MEAN_MS, len(rows))).astype(np.int64)
    arrival, sent = _silence(world, rows, rows.arrival + delay)
    sent &= (rows.ts >= config.start_ms) & (arrival < config.end_ms)
    ts = np.maximum(rows.ts + _skew(world, rows), config.start_ms)
    rows = replace(rows, ts=ts, arrival=arrival, number=number)
    return concat(
        [rows.take(np.flatnonzero(sent)), _repeats(rows, sent & is_repeated, arrival + repeat_delay, config.end_ms)]
    )


def _repeats(rows: EventColumns, is_repeated: Bools, arrival: Ints, end_ms: int) -> EventColumns:
    """Duplicates that arrive within the run."""
    index = np.flatnonzero(is_repeated & (arrival < end_ms))
    return replace(rows.take(index), repeat=np.ones(len(index), dtype=np.bool_), arrival=arrival[index])


def _delays(world: RunContext, rng: np.random.Generator, size: int) -> Ints:
    """Delay of arrival, ms: lognormal latency; for a small share exponential from 3 s to a limit."""
    disorder = world.config.disorder
    latest = max(LATENCY_MAX_MS, min(disorder.late_max_s * 1000, world.config.duration_ms / 4))
    delay: Floats = np.exp(rng.standard_normal(size) * LATENCY_SIGMA) * (disorder.latency_s * 1000)
    delay = np.minimum(delay, LATENCY_MAX_MS)
    late = rng.random(size) < disorder.late_share
    lateness = np.minimum(LATENCY_MAX_MS + rng.exponential(latest / 5, size), latest)
    delays_ms: Ints = np.where(late, lateness, delay).astype(np.int64)
    return delays_ms


def _skew(world: RunContext, rows: EventColumns) -> Ints:
    """Constant clock error of each row's producer, ms."""
    clock = TOPIC_CODE[rows.kind].astype(np.int64) * 256 + rows.producer
    span = world.config.disorder.skew_ms
    off = trait(np.arange(len(EVENT_TOPICS) * 256, dtype=np.int64), world.config.seed + 7) * 2 - 1
    skew: Ints = np.rint(off * span).astype(np.int64)[clock]
    return skew


def _silence(world: RunContext, rows: EventColumns, arrival: Ints) -> tuple[Ints, Bools]:
    """Arrival times and sent rows, after `producer_silent`."""
    sent = np.ones(len(rows), dtype=np.bool_)
    for incident in world.effects.of("producer_silent"):
        hit = (rows.ts >= incident.start_ms) & (rows.ts < incident.end_ms) & of_silent_producer(incident, rows)
        if incident.option("mode") == "drop":
            sent &= ~hit
        else:
            arrival = np.where(hit, np.maximum(arrival, incident.end_ms), arrival)
    return arrival, sent


def of_silent_producer(incident: Incident, rows: EventColumns) -> Bools:
    """Rows of the topic and source of a `producer_silent`."""
    hit: Bools = TOPIC_CODE[rows.kind] == EVENT_TOPICS.index(Topic(incident.option("topic") or "orders"))
    source = incident.option("source")
    if source is not None:
        hit = hit & (rows.producer == int(source.rpartition("-")[2]))
    return hit
