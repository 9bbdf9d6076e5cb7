"""Stock levels and stock events of the products."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from streams.simulate.chance import Purpose, stream
from streams.simulate.columns import Bools, EventColumns, Ints, Objects, SimulatedEventType, concat, draft, objects
from streams.simulate.config import DAY_MS, SimulationConfig
from streams.simulate.context import RunContext
from streams.simulate.incidents import Incident
from streams.simulate.traffic import Slice

COVER_SIGMA = 0.6
OVERSELL_SHARE = 0.01
FIRST_SHORT = 5
"""First product that may be short of stock; those before it have too large a share of sales."""
UNNOTICED_PART = 10
"""Orders of written-off products continue for this fraction (1/n) of a `stockout`."""
SNAPSHOT_S = 5.0
"""Opening levels are of the start of the run and arrive during its first 5 s (or 2 %)."""


def expected_stock_events(config: SimulationConfig) -> float:
    """Stock events of a run after the opening levels; a recount is one event per warehouse."""
    plan, days = config.stock, config.duration_ms / DAY_MS * config.day_speed
    warehouses = (len(config.warehouses) + 1) / 2
    return config.skus * days * (plan.receipts + plan.adjustments + plan.recounts * warehouses)


@dataclass(slots=True)
class _WriteOff:
    """Products of a `stockout` and, after its start, the units written off."""

    incident: Incident
    skus: Ints
    taken: Ints | None = None


class SimulatedStock:
    """Units left of each product. Orders are deducted when their session is created, shortly before the order."""

    def __init__(self, world: RunContext, expected_units: float) -> None:
        """`expected_units`: units sold in the run without incidents; infinity: no stock-outs."""
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
        """Units oversold before the shop closes a product."""
        self._expected = expected
        self.short_share = float(np.maximum(0.0, expected - self.opening).sum() / expected.sum())
        """Share of expected units without stock."""
        self._write_offs = [
            _WriteOff(incident, stockout_skus(incident, config.skus)) for incident in world.effects.of("stockout")
        ]
        self._written_off = np.zeros(config.skus, dtype=np.bool_)
        self._moves: list[tuple[Ints, Ints, Ints]] = []
        """(sku, units, ts) of orders of products with a future `stockout`"""
        self._sources = (np.arange(len(config.warehouses))).astype(np.uint8)

    def closed(self, sku: Ints, at: Ints) -> Bools:
        """Whether products are sold out at these times (epoch ms)."""
        closed: Bools = self.left[sku] <= -self._oversell[sku]
        for incident in self._world.effects.of("stockout"):
            unnoticed = (incident.end_ms - incident.start_ms) // UNNOTICED_PART
            during = (at >= incident.start_ms + unnoticed) & (at < incident.end_ms)
            closed |= during & np.isin(sku, stockout_skus(incident, len(self.left)))
        return closed

    def take(self, sku: Ints, units: Ints, at: Ints) -> None:
        """Deduct units ordered at `at` (epoch ms); opening levels exclude earlier orders."""
        since = at >= self._world.config.start_ms
        sku, units, at = sku[since], units[since], at[since]
        np.subtract.at(self.left, sku, units)
        if self._write_offs:
            watched = np.isin(sku, np.concatenate([write_off.skus for write_off in self._write_offs]))
            self._moves.append((sku[watched], units[watched], at[watched]))

    def release(self, sku: Ints, units: Ints) -> None:
        """Return units to stock."""
        np.add.at(self.left, sku, units)

    def opening_rows(self) -> EventColumns:
        """`stock_level` of every product and warehouse at the start."""
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
            *(self._levels(sku[i : i + 1], int(at[i])) for i in recounted.tolist()),
        ]
        self.release(sku[received], qty)
        self.release(sku[adjusted], delta)
        for write_off in self._write_offs:
            rows += self._write(write_off, part)
        return concat(rows)

    def _write(self, write_off: _WriteOff, part: Slice) -> list[EventColumns]:
        """Write off all units at the incident's start, and receive them at its end."""
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
        """Deducted units whose order is at or after `at`."""
        later = np.zeros(len(self.left), dtype=np.int64)
        for sku, units, ts in self._moves:
            np.add.at(later, sku[ts >= at], units[ts >= at])
        return later[skus]

    def _levels(self, skus: Ints, at: int) -> EventColumns:
        """`stock_level` rows: units left, distributed over the warehouses."""
        catalog, size = self._world.catalog, len(self._world.config.warehouses)
        warehouse_count = catalog.warehouses[skus].astype(np.int64)
        sku = np.repeat(skus, warehouse_count)
        rank = np.arange(len(sku)) - np.repeat(np.cumsum(warehouse_count) - warehouse_count, warehouse_count)
        share, rest = np.divmod(np.maximum(0, self.left[sku]), np.repeat(warehouse_count, warehouse_count))
        warehouse = (catalog.home[sku].astype(np.int64) + rank) % size
        on_hand = share + np.where(rank == 0, rest, 0)
        return self._rows(SimulatedEventType.STOCK_LEVEL, sku, np.full(len(sku), at), on_hand, warehouse)

    def _rows(
        self, kind: SimulatedEventType, sku: Ints, at: Ints, value: Ints, warehouse: Ints | None = None
    ) -> EventColumns:
        catalog = self._world.catalog
        warehouse_of = catalog.home[sku].astype(np.int64) if warehouse is None else warehouse
        names = catalog.names[sku]
        body = stock_bodies(names, warehouse_of, self._world.config.warehouses)
        return draft(kind, at, key=names, body=body, producer=self._sources[warehouse_of], value=value)


def stock_bodies(names: Objects, warehouse: Ints, labels: tuple[str, ...]) -> Objects:
    """JSON common to stock events."""
    forms = [b'"warehouse":"%b","source":"wms-%d","sku":"' % (label.encode(), i) for i, label in enumerate(labels)]
    return objects([forms[w] + name + b'"' for name, w in zip(names.tolist(), warehouse.tolist(), strict=True)])


def stockout_skus(incident: Incident, skus: int) -> Ints:
    """The named product, else the `top` best-sellers (default 1)."""
    named = [code for name, code in incident.where if name == "sku"]
    count = min(skus, math.ceil(float(incident.option("top") or 1)))
    return np.asarray(named or range(count), dtype=np.int64)
