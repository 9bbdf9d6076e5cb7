"""Products: popularity, price, cost, warehouses and JSON fragments."""

from __future__ import annotations

import numpy as np

from streams.simulate.chance import Purpose, stream
from streams.simulate.columns import Bools, Bytes, Floats, Ints, Objects, objects
from streams.simulate.config import SimulationConfig
from streams.simulate.incidents import sku_name

ZIPF_EXPONENT = 1.05
"""Popularity of rank r is r^-1.05, as in most published shop and web traffic."""
ROOM_SKUS = 20
KEYWORDS = ("new", "cheap", "best", "gift", "sale", "pro", "mini", "set")


class Catalog:
    """Products 0 … skus − 1 by popularity. Prices in minor units."""

    def __init__(self, config: SimulationConfig) -> None:
        rng = stream(config.seed if config.catalog_seed is None else config.catalog_seed, Purpose.CATALOG)
        size = config.skus
        self.category: Bytes = rng.integers(0, len(config.categories), size).astype(np.uint8)
        worth = rng.lognormal(0.0, 0.5, len(config.categories))[self.category]
        self.price: Ints = (np.exp(rng.standard_normal(size) * 0.8) * worth * 60).astype(np.int64) * 100 + 990
        """Lognormal, median 60.00 times the level of the category, ending in .90."""
        self.cost: Ints = (self.price * rng.uniform(0.45, 0.75, size)).astype(np.int64)
        self.warehouses: Bytes = rng.integers(1, len(config.warehouses) + 1, size).astype(np.uint8)
        """Number of warehouses that stock it."""
        self.home: Bytes = rng.integers(0, len(config.warehouses), size).astype(np.uint8)
        """Index of the first such warehouse; the others follow in order."""
        self.promoted = self._promoted(config, rng)
        reduced = (self.price * rng.uniform(0.6, 0.85, size)).astype(np.int64)
        self.sale_price: Ints = np.where(self.promoted, reduced, self.price)
        self._popularity = np.arange(1, size + 1, dtype=np.float64) ** -ZIPF_EXPONENT
        boost = config.promotion.sku_boost if config.promotion else 1.0
        self._regular = _cumulative(self._popularity)
        self._boosted = _cumulative(self._popularity * np.where(self.promoted, boost, 1.0))
        self.rooms: Ints = rng.integers(0, min(size, 50 * ROOM_SKUS), (len(config.live_rooms) + 1, ROOM_SKUS))
        """[live room, index]: product shown"""
        self._fragments(config)

    @staticmethod
    def _promoted(config: SimulationConfig, rng: np.random.Generator) -> Bools:
        """The ten best-sellers and a random choice of the next."""
        chosen = np.zeros(config.skus, dtype=np.bool_)
        if config.promotion is None or config.promotion.skus < 1:
            return chosen
        wanted = min(config.promotion.skus, config.skus)
        chosen[: min(10, wanted)] = True
        pool = np.arange(10, min(config.skus, 4 * wanted + 10))
        chosen[rng.choice(pool, max(0, min(wanted - 10, len(pool))), replace=False)] = True
        return chosen

    def _fragments(self, config: SimulationConfig) -> None:
        names = [sku_name(i).encode() for i in range(config.skus)]
        categories = [label.encode() for label in config.categories]
        category_of = [categories[code] for code in self.category.tolist()]
        self.names: Objects = objects(names)
        pairs = list(zip(names, category_of, strict=True))
        words = [(word.encode(), category) for category in categories for word in KEYWORDS]
        self.click: Objects = objects([b',"sku":"%b","category":"%b"' % pair for pair in pairs])
        self.line: Objects = objects([b'{"sku":"%b","category":"%b","qty":' % pair for pair in pairs])
        self.keywords: Objects = objects([b',"keyword":"%b %b"' % pair for pair in words])

    def draw(self, uniform: Floats, boosted: Bools) -> Ints:
        """Draw viewed products by popularity; `boosted`: rows with the promotion's boost."""
        drawn = np.empty(len(uniform), dtype=np.int64)
        drawn[boosted] = np.searchsorted(self._boosted, uniform[boosted], side="right")
        drawn[~boosted] = np.searchsorted(self._regular, uniform[~boosted], side="right")
        return drawn

    def demand_share(self) -> Floats:
        """Expected share of each product in sales, averaged over promotion and regular time."""
        mean = (np.diff(self._regular, prepend=0.0) + np.diff(self._boosted, prepend=0.0)) / 2
        shares: Floats = mean / mean.sum()
        return shares


def _cumulative(weights: Floats) -> Floats:
    edges: Floats = np.cumsum(weights) / weights.sum()
    edges[-1] = 1.0
    return edges
