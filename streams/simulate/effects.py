"""Effects of incidents on rows: hit, lost or postponed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum

import numpy as np

from streams.simulate.chance import Purpose, stream
from streams.simulate.columns import Bools, Bytes, Ints
from streams.simulate.config import SimulationConfig
from streams.simulate.incidents import Incident, parse

Dims = Mapping[str, Bytes | Ints]
"""<dimension: code of each row>"""


class ChanceSite(IntEnum):
    """Place of a random draw, with its own stream. Append members, never reorder them."""

    CART = 0
    CHECKOUT = 1
    ORDER = 2
    LINE = 3
    PAYMENT = 4
    CALL_OFF = 5
    DISPATCH = 6
    CLICK = 7
    WAIT = 8


class IncidentEffects:
    """The incidents of a run. Their random streams are separate: rows they do not hit are unchanged."""

    def __init__(self, config: SimulationConfig) -> None:
        self.incidents = tuple(parse(spec, i, config) for i, spec in enumerate(config.incidents))
        self._seed = config.seed

    def of(self, kind: str) -> list[Incident]:
        """The incidents of a kind."""
        return [incident for incident in self.incidents if incident.kind == kind]

    def hits(self, kind: str, at: Ints, dims: Dims) -> Iterator[tuple[Incident, Bools]]:
        """Each incident of a kind that matches rows, with those rows."""
        for incident in self.of(kind):
            hit = self.matches(incident, at, dims)
            if hit.any():
                yield incident, hit

    def matches(self, incident: Incident, at: Ints, dims: Dims) -> Bools:
        """Rows within an incident's time and dimensions; dimensions that rows lack are ignored."""
        hit: Bools = (at >= incident.start_ms) & (at < incident.end_ms)
        for dimension, code in incident.where:
            if dimension in dims:
                hit &= dims[dimension] == code
        return hit

    def sampled(self, incident: Incident, rows: int, site: ChanceSite, slice_index: int) -> Bools:
        """Sample rows with the incident's size as probability. `slice_index`: selects the random stream."""
        rng = stream(self._seed, Purpose.INCIDENT, incident.index, site, slice_index)
        sampled: Bools = rng.random(rows) < incident.size
        return sampled

    def sampled_hits(
        self, kind: str, at: Ints, dims: Dims, site: ChanceSite, slice_index: int, **options: str
    ) -> Bools:
        """Rows hit by incidents with these options, sampled by their size."""
        sampled_hits = np.zeros(len(at), dtype=np.bool_)
        for incident, hit in self.hits(kind, at, dims):
            if all(incident.option(name) == value for name, value in options.items()):
                sampled_hits |= hit & self.sampled(incident, len(at), site, slice_index)
        return sampled_hits

    def postpone(self, at: Ints, dims: Dims, slice_index: int) -> Ints:
        """Move times within an `order_stop` to its end plus a few seconds."""
        for incident, hit in self.hits("order_stop", at, dims):
            rng = stream(self._seed, Purpose.INCIDENT, incident.index, ChanceSite.WAIT, slice_index)
            wait = rng.exponential(1000.0, len(at)).astype(np.int64)
            at = np.where(hit, incident.end_ms + wait, at)
        return at
