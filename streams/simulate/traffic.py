"""Traffic over time: the day's curve, the promotion's phases and surges, and noise on top."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np

from streams.simulate.chance import Purpose, stream
from streams.simulate.columns import Floats, Ints
from streams.simulate.config import DAY_MS, SimulationConfig
from streams.simulate.effects import IncidentEffects

OPENING_HOUR = 15.2
"""Local start hour of a compressed day, so that the opening (20 %) is at 20:00."""
SLICE_SESSIONS = 2500
"""Sessions after which a slice ends."""
NO_DIMS: dict[str, Ints] = {}


@dataclass(frozen=True, slots=True)
class Slice:
    """A time range whose sessions are generated together."""

    index: int
    start_ms: int
    end_ms: int
    session_starts: Ints
    """Epoch ms, sorted."""


def day_curve(hour: Floats) -> Floats:
    """Relative traffic by local hour: minimum at 4, peaks at 12:30 and 21 (5 times the minimum).

    Typical for a shop in one time zone; assumed, not fitted.
    """
    lunch = 0.45 * np.exp(-0.5 * (_around(hour - 12.5) / 1.5) ** 2)
    evening = 0.85 * np.exp(-0.5 * (_around(hour - 21.0) / 2.2) ** 2)
    daylight = 0.35 * 0.5 * (1 - np.cos((hour - 4.0) / 24 * 2 * np.pi))
    curve: Floats = 0.25 + daylight + lunch + evening
    return curve


def _around(hours: Floats) -> Floats:
    return (hours + 12.0) % 24.0 - 12.0


class Traffic:
    """Expected session starts in equal cells, from the warm-up to the end of the run."""

    def __init__(self, config: SimulationConfig) -> None:
        self._config = config
        wanted = min(1000.0, config.duration_ms / 1000, 10_000 / config.rate * 1000)
        self.cell_ms = max(10, int(wanted))
        warm_cells = -(-config.warm_up_ms // self.cell_ms)
        cells = -(-config.duration_ms // self.cell_ms)
        self.starts: Ints = config.start_ms + (np.arange(-warm_cells, cells, dtype=np.int64)) * self.cell_ms
        shape = self._shape(np.maximum(self.starts, config.start_ms))
        self.weights: Floats = shape / shape[warm_cells:].sum()
        """Share of the run's sessions by cell; the warm-up is additional."""

    def _shape(self, at: Ints) -> Floats:
        shape = day_curve(self._hours(at))
        plan = self._config.promotion
        if plan is None:
            return shape
        decay = min(plan.surge_decay_s * 1000, self._config.duration_ms / 10)
        for phase in plan.phases:
            begins, ends = self._config.at(phase.begins), self._config.at(phase.ends)
            surge = (phase.surge - 1) * np.exp(-np.maximum(at - begins, 0) / decay)
            shape *= np.where((at >= begins) & (at < ends), phase.level + surge, 1.0)
        return shape

    def _hours(self, at: Ints) -> Floats:
        config = self._config
        if config.compressed:
            hours: Floats = (OPENING_HOUR + (at - config.start_ms) / config.duration_ms * 24.0) % 24.0
            return hours
        offset = datetime.fromtimestamp(config.start_ms / 1000, UTC).astimezone(ZoneInfo(config.timezone)).utcoffset()
        local = (at + (round(offset.total_seconds() * 1000) if offset else 0)) % DAY_MS
        return local / 3_600_000

    def within(self, offsets: Ints) -> Floats:
        """Expected events within the run per session, for events `offsets` ms after the session's start.

        Includes warm-up sessions and excludes events after the end: about 1 for even traffic.
        """
        edges = np.append(self.starts, self.starts[-1] + self.cell_ms)
        begun = np.concatenate([[0.0], np.cumsum(self.weights)])
        until = np.interp(self._config.end_ms - offsets, edges, begun)
        share: Floats = until - np.interp(self._config.start_ms - offsets, edges, begun)
        return share

    def promotion_share(self) -> float:
        """Share of sessions that start during the promotion."""
        plan = self._config.promotion
        if plan is None:
            return 0.0
        begins, ends = self._config.at(plan.phases[0].begins), self._config.at(plan.phases[-1].ends)
        return float(self.weights[(self.starts >= begins) & (self.starts < ends)].sum())

    def slices(self, sessions: float, effects: IncidentEffects) -> list[Slice]:
        """Slices of about 2,500 sessions, or of 30 s at low traffic, with session starts."""
        rng = stream(self._config.seed, Purpose.TRAFFIC)
        expected = self.weights * sessions * self._noise(rng)
        for incident, hit in effects.hits("traffic_surge", self.starts, NO_DIMS):
            expected[hit] *= incident.size
        for incident, hit in effects.hits("traffic_drop", self.starts, NO_DIMS):
            expected[hit] *= 1 - incident.size
        counts = rng.poisson(expected)
        duration = self._config.duration_ms
        longest = max(self.cell_ms, min(duration // 50, max(30_000, duration // 2000))) // self.cell_ms
        slices: list[Slice] = []
        first, total = 0, 0
        for i, count in enumerate(counts.tolist()):
            total += count
            if total >= SLICE_SESSIONS or i - first + 1 >= longest or i + 1 == len(counts):
                slices.append(self._slice(len(slices), first, i + 1, counts[first : i + 1], rng))
                first, total = i + 1, 0
        return slices

    def _noise(self, rng: np.random.Generator) -> Floats:
        """Over-dispersion: Gamma noise of mean 1 by cell, and weaker noise by 60 cells."""
        size, shape = len(self.starts), self._config.dispersion
        fast = rng.gamma(shape, 1 / shape, size)
        slow = np.repeat(rng.gamma(4 * shape, 1 / (4 * shape), size // 60 + 1), 60)[:size]
        noise: Floats = fast * slow
        return noise

    def _slice(self, index: int, first: int, last: int, counts: Ints, rng: np.random.Generator) -> Slice:
        within = rng.integers(0, self.cell_ms, int(counts.sum()))
        starts = np.sort(np.repeat(self.starts[first:last], counts) + within)
        end_ms = min(int(self.starts[first]) + (last - first) * self.cell_ms, self._config.end_ms)
        return Slice(index, int(self.starts[first]), end_ms, starts[starts < end_ms])
