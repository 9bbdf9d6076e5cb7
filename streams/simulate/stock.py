"""Stock: what there is of each product, when it closes, and the stock events."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from streams.simulate.chance import Purpose, stream
from streams.simulate.columns import Bools, EventColumns, Ints, Objects, SimulatedEventType, concat, draft, objects
from streams.simulate.config import DAY_MS, SimulationConfig
from streams.simulate.incidents import Incident
from streams.simulate.traffic import Slice
from streams.simulate.world import RunContext

COVER_SIGMA = 0.6
OVERSELL_SHARE = 0.01
FIRST_SHORT = 5
"""The first product that may be short of stock; those before it carry too much of the sales."""
UNNOTICED_PART = 10
"""Orders of what a stockout has written off go on for a tenth of it."""
SNAPSHOT_S = 5.0
"""The opening levels are true at the start of the run and arrive during its first 5 s (or 2 % of it)."""


def expected_stock_events(config: SimulationConfig) -> float:
    """Stock events of a run after the opening levels; a recount writes one for each warehouse."""
    plan, days = config.stock, config.duration_ms / DAY_MS * config.day_speed
    warehouses = (len(config.warehouses) + 1) / 2
    return config.skus * days * (plan.receipts + plan.adjustments + plan.recounts * warehouses)


@dataclass(slots=True)
class _WriteOff:
    """A stockout's products and, once it has begun, what was taken from each."""

    incident: Incident
    skus: Ints
    taken: Ints | None = None


class SimulatedStock:
    """The ledger. Orders are entered when their session is made, a little before they happen."""

    def __init__(self, world: RunContext, expected_units: float) -> None:
        """`expected_units`: sold in the run without incidents, over all products. Infinity: nothing ever runs out."""
        self._world = world
        config = world.config
        rng = stream(config.seed, Purpose.STOCK)
        expected = world.catalog.demand_share() * min(expected_units, 1e12)
        cover = config.stock.cover * rng.lognormal(0.0, COVER_SIGMA, config.skus)
        self._short = np.zeros(config.skus, dtype=np.bool_)
        self._short[FIRST_SHORT : FIRST_SHORT + config.stock.short] = True
        cover[self._short] = rng.uniform(0.25, 0.6, int(self._short.sum()))
        self.opening: Ints = np.ceil(expected * cover).astype(np.int64) + np.where(self._short, 0, 3)
        self.left: Ints = self.opening.copy()
        self._oversell: Ints = np.ceil(self.opening * OVERSELL_SHARE).astype(np.int64) + rng.integers(0, 3, config.skus)
        """The shop stops selling a product only when it has oversold by this: its stock cache lags."""
        self._expected = expected
        self.short_share = float(np.maximum(0.0, expected - self.opening).sum() / expected.sum())
        """The share of the expected units for which there is no stock."""
        self._write_offs = [_WriteOff(one, _stockout_skus(one, config.skus)) for one in world.effects.of("stockout")]
        self._written_off = np.zeros(config.skus, dtype=np.bool_)
        self._moves: list[tuple[Ints, Ints, Ints]] = []
        """# (sku, units, ts) of orders of products with a stockout to come"""
        self._sources = (np.arange(len(config.warehouses))).astype(np.uint8)

    def closed(self, sku: Ints, at: Ints) -> Bools:
        """Whether products can no longer be ordered at these times (epoch ms)."""
        closed: Bools = self.left[sku] <= -self._oversell[sku]
        for incident in self._world.effects.of("stockout"):
            unnoticed = (incident.end_ms - incident.start_ms) // UNNOTICED_PART
            during = (at >= incident.start_ms + unnoticed) & (at < incident.end_ms)
            closed |= during & np.isin(sku, _stockout_skus(incident, len(self.left)))
        return closed

    def take(self, sku: Ints, units: Ints, at: Ints) -> None:
        """Units ordered at `at` (epoch ms). The opening levels lack already what was ordered before them."""
        since = at >= self._world.config.start_ms
        sku, units, at = sku[since], units[since], at[since]
        np.subtract.at(self.left, sku, units)
        if self._write_offs:
            watched = np.isin(sku, np.concatenate([one.skus for one in self._write_offs]))
            self._moves.append((sku[watched], units[watched], at[watched]))

    def release(self, sku: Ints, units: Ints) -> None:
        """Units that come back."""
        np.add.at(self.left, sku, units)

    def opening_rows(self) -> EventColumns:
        """`stock_level` of every product in each of its warehouses, true at the start."""
        config = self._world.config
        rows = self._levels(np.arange(config.skus, dtype=np.int64), config.start_ms)
        window = min(SNAPSHOT_S * 1000, config.duration_ms / 50)
        spread = (np.arange(len(rows)) * window / max(1, len(rows))).astype(np.int64)
        return replace(rows, arrival=rows.ts + spread)

    def events(self, part: Slice) -> EventColumns:
        """Receipts, adjustments, recounts and write-offs of a slice."""
        config, plan = self._world.config, self._world.config.stock
        if part.end_ms <= config.start_ms:
            return concat([])
        rng = self._world.rng(Purpose.STOCK, part.index + 1)
        mean = config.skus * (part.end_ms - part.start_ms) / DAY_MS * config.day_speed
        counts = rng.poisson([mean * plan.receipts, mean * plan.adjustments, mean * plan.recounts]).tolist()
        sku = rng.integers(0, config.skus, sum(counts))
        sku = np.where(self._short[sku], sku % FIRST_SHORT, sku)
        at = rng.integers(part.start_ms, part.end_ms, len(sku))
        received, adjusted, recounted = np.split(np.arange(len(sku)), np.cumsum(counts[:2]))
        received = received[~self._written_off[sku[received]]]
        qty = rng.poisson(self._expected[sku[received]] * 0.5) + 1
        delta = rng.integers(-2, 3, len(adjusted))
        rows = [
            self._rows(SimulatedEventType.STOCK_RECEIVED, sku[received], at[received], qty),
            self._rows(SimulatedEventType.STOCK_ADJUSTED, sku[adjusted], at[adjusted], delta),
            *(self._levels(sku[one : one + 1], int(at[one])) for one in recounted.tolist()),
        ]
        self.release(sku[received], qty)
        self.release(sku[adjusted], delta)
        for write_off in self._write_offs:
            rows += self._write(write_off, part)
        return concat(rows)

    def _write(self, write_off: _WriteOff, part: Slice) -> list[EventColumns]:
        """Takes all that is left at the incident's start, and gives it back at its end."""
        incident, skus = write_off.incident, write_off.skus
        if write_off.taken is None and incident.start_ms < part.end_ms:
            at = max(incident.start_ms, part.start_ms)
            self._written_off[skus] = True
            write_off.taken = np.maximum(0, self.left[skus] + self._ordered_from(skus, at))
            self.release(skus, -write_off.taken)
            return [self._rows(SimulatedEventType.STOCK_ADJUSTED, skus, np.full(len(skus), at), -write_off.taken)]
        if write_off.taken is not None and len(skus) and incident.end_ms < part.end_ms:
            write_off.skus = skus[:0]
            self._written_off[skus] = False
            qty = np.maximum(1, write_off.taken)
            self.release(skus, qty)
            return [self._rows(SimulatedEventType.STOCK_RECEIVED, skus, np.full(len(skus), incident.end_ms), qty)]
        return []

    def _ordered_from(self, skus: Ints, at: int) -> Ints:
        """Units already entered in the ledger that are ordered at or after a moment."""
        later = np.zeros(len(self.left), dtype=np.int64)
        for sku, units, ts in self._moves:
            np.add.at(later, sku[ts >= at], units[ts >= at])
        return later[skus]

    def _levels(self, skus: Ints, at: int) -> EventColumns:
        """A count of all warehouses: what is left, shared among them, most in the first."""
        catalog, size = self._world.catalog, len(self._world.config.warehouses)
        many = catalog.warehouses[skus].astype(np.int64)
        sku = np.repeat(skus, many)
        turn = np.arange(len(sku)) - np.repeat(np.cumsum(many) - many, many)
        share, rest = np.divmod(np.maximum(0, self.left[sku]), np.repeat(many, many))
        warehouse = (catalog.home[sku].astype(np.int64) + turn) % size
        on_hand = share + np.where(turn == 0, rest, 0)
        return self._rows(SimulatedEventType.STOCK_LEVEL, sku, np.full(len(sku), at), on_hand, warehouse)

    def _rows(
        self, kind: SimulatedEventType, sku: Ints, at: Ints, value: Ints, warehouse: Ints | None = None
    ) -> EventColumns:
        catalog = self._world.catalog
        where = catalog.home[sku].astype(np.int64) if warehouse is None else warehouse
        names = catalog.names[sku]
        body = stock_bodies(names, where, self._world.config.warehouses)
        return draft(kind, at, key=names, body=body, producer=self._sources[where], value=value)


def stock_bodies(names: Objects, warehouse: Ints, labels: tuple[str, ...]) -> Objects:
    """The shared JSON of stock events."""
    forms = [b'"warehouse":"%b","source":"wms-%d","sku":"' % (label.encode(), i) for i, label in enumerate(labels)]
    return objects([forms[w] + name + b'"' for name, w in zip(names.tolist(), warehouse.tolist(), strict=True)])


def _stockout_skus(incident: Incident, skus: int) -> Ints:
    """The product named, else the `top` best-sellers (1 without a number)."""
    named = [code for name, code in incident.where if name == "sku"]
    many = min(skus, math.ceil(float(incident.option("top") or 1)))
    return np.asarray(named or range(many), dtype=np.int64)
