"""Stock at any as-of, and the inputs of the stock KPIs: a state at the newest as-of, and a few in the past."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from streams.panes.arrays import Ints
from streams.panes.counters import DAY_S, HOUR_S
from streams.panes.rows import StockNames
from streams.stock.ledger import Ledger, merge_ledgers
from streams.stock.stock_state import StockState
from streams.store.levels import STOCK, STOCK_SALES
from streams.view.stock_event_log import StockEventLog, StockLogReader

_PAST_STATES = 4
"""Comparisons query yesterday, last week and an earlier promotion in turn."""
_PAST_LAG_MS = 600_000
"""How far the floor of a state of the past stays behind its as-of."""
_NEAR_MS = 1000 * DAY_S
"""A state of the past is moved this far rather than a new one built."""

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _CachedStock:
    """A stock state and its readers."""

    stock_state: StockState
    sales: StockLogReader
    """Reads sales older than those in `entries`."""
    entries: StockLogReader


class StockView:
    """Stock at any queried as-of; states are built on first use and then kept current."""

    def __init__(self, event_log: StockEventLog, keep_ms: int | None) -> None:
        """`keep_ms`: stock counts older than this are ignored; None: none are."""
        self._event_log = event_log
        self._keep_ms = keep_ms
        self._live: _CachedStock | None = None
        self._past: list[_CachedStock] = []
        """The least recently used first."""
        self._one_at_a_time = asyncio.Lock()

    async def ask(self, as_of_ms: int, live: bool, query: Callable[[StockState], T]) -> T:
        """Query the stock state at an as-of; `live`: the newest."""
        async with self._one_at_a_time:
            cached = await (self._at_newest(as_of_ms) if live else self._in_the_past(as_of_ms))
            return query(cached.stock_state)

    async def event_log(self, skus: Ints, start_ms: int, end_ms: int) -> Ledger:
        """All stock events of SKUs (ascending) in [start_ms, end_ms)."""
        async with self._one_at_a_time:
            return (await self._history(skus, start_ms, end_ms)).between(start_ms, end_ms)

    async def _at_newest(self, as_of_ms: int) -> _CachedStock:
        if self._live is None or as_of_ms < self._live.stock_state.floor_ms:
            if self._live is not None:
                self._drop(self._live)
            self._live = self._begin(as_of_ms, live=True)
        await self._advance(self._live, as_of_ms)
        return self._live

    async def _in_the_past(self, as_of_ms: int) -> _CachedStock:
        candidates = [
            cached
            for cached in self._past
            if cached.stock_state.floor_ms <= as_of_ms and abs(as_of_ms - cached.stock_state.as_of_ms) <= _NEAR_MS
        ]
        cached = max(candidates, key=lambda cached: cached.stock_state.as_of_ms, default=None) or self._copy_of_nearest(
            as_of_ms
        )
        if cached in self._past:
            self._past.remove(cached)
        self._past.append(cached)
        while len(self._past) > _PAST_STATES:
            self._drop(self._past.pop(0))
        await self._advance(cached, as_of_ms)
        return cached

    def _copy_of_nearest(self, as_of_ms: int) -> _CachedStock:
        """A copy of the nearest earlier state, if that leaves less of the log to read; else a new one."""
        start_ms = self._start_ms(as_of_ms)
        earlier = [
            cached
            for cached in self._past
            if start_ms < cached.entries.end_ms and cached.stock_state.as_of_ms <= as_of_ms
        ]
        nearest = max(earlier, key=lambda cached: cached.stock_state.as_of_ms, default=None)
        if nearest is None:
            return self._begin(as_of_ms, live=False)
        return self._subscribed(deepcopy(nearest.stock_state), nearest.entries.start_ms, nearest.sales, nearest.entries)

    def _begin(self, as_of_ms: int, *, live: bool) -> _CachedStock:
        """A state that has read nothing yet."""
        stock_state = StockState(self._keep_ms) if live else StockState(self._keep_ms, lag_ms=_PAST_LAG_MS)
        return self._subscribed(stock_state, self._start_ms(as_of_ms))

    def _start_ms(self, as_of_ms: int) -> int:
        """Time from which to read the stock event log for an as-of, epoch ms."""
        start_ms = 0 if self._keep_ms is None else max(0, as_of_ms - self._keep_ms)
        return start_ms - start_ms % (1000 * DAY_S)

    def _subscribed(
        self,
        stock_state: StockState,
        start_ms: int,
        sales: StockLogReader | None = None,
        entries: StockLogReader | None = None,
    ) -> _CachedStock:
        """A state that reads the log from `start_ms` on. `sales`, `entries`: readers whose entries it already has."""
        cached = _CachedStock(
            stock_state,
            StockLogReader(
                STOCK_SALES, 0, sales.end_ms if sales else 0, lambda ledger: stock_state.add(Ledger(sales=ledger.sales))
            ),
            StockLogReader(STOCK, start_ms, entries.end_ms if entries else start_ms, stock_state.add),
        )
        self._event_log.subscribe(cached.sales)
        self._event_log.subscribe(cached.entries)
        return cached

    def _drop(self, cached: _CachedStock) -> None:
        self._event_log.unsubscribe(cached.sales)
        self._event_log.unsubscribe(cached.entries)

    async def _advance(self, cached: _CachedStock, as_of_ms: int) -> None:
        """Move a state to an as-of, not before its floor."""
        stock_state = cached.stock_state
        await self._event_log.read(cached.sales, cached.entries.start_ms)

        def on_progress(end_ms: int) -> None:
            if stock_state.as_of_ms < min(end_ms, as_of_ms):
                stock_state.move_to(min(end_ms, as_of_ms))

        await self._event_log.read(cached.entries, as_of_ms, on_progress)
        await self._load_late_counts(stock_state)
        stock_state.move_to(as_of_ms)

    async def _load_late_counts(self, stock_state: StockState) -> None:
        """Read the history of SKUs with late counts that are older than the state's floor."""
        while (history_needed_from_ms := stock_state.history_needed_from_ms) is not None:
            skus = stock_state.history_needed_skus
            history = await self._history(skus, history_needed_from_ms, stock_state.floor_ms)
            if stock_state.history_needed_from_ms == history_needed_from_ms and len(
                stock_state.history_needed_skus
            ) == len(skus):  # otherwise more late counts arrived meanwhile
                stock_state.correct(history)

    async def _history(self, skus: Ints, start_ms: int, end_ms: int) -> Ledger:
        """All stock events of SKUs in [start_ms, end_ms), and possibly more around."""
        ledgers: list[Ledger] = []
        start_ms -= start_ms % (1000 * HOUR_S)
        log_reader = StockLogReader(STOCK, start_ms, start_ms, lambda ledger: ledgers.append(ledger.of_skus(skus)))
        self._event_log.subscribe(log_reader)
        try:
            await self._event_log.read(log_reader, end_ms)
        finally:
            self._event_log.unsubscribe(log_reader)
        return merge_ledgers(ledgers)


StockSums = dict[str, int]
"""Inputs of the stock KPIs by name."""


def shop_sums(stock_state: StockState) -> StockSums:
    """Numbers of SKUs out of stock and in stock, of all known SKUs."""
    out, stocked = stock_state.counts()
    return {"stockout_skus": out, "stocked_skus": stocked}


def promotion_sums(stock_state: StockState, names: StockNames, skus: Sequence[str]) -> StockSums:
    """Numbers of SKUs out of stock and in stock, of those that a promotion's definition names."""
    units, known = stock_state.now.available(_numbers(names, list(dict.fromkeys(skus))))
    out = int(np.count_nonzero(known & (units <= 0)))
    return {"stockout_skus": out, "stocked_skus": int(np.count_nonzero(known)) - out}


def sku_sums(stock_state: StockState, names: StockNames, skus: Sequence[str], promotion: str | None) -> list[StockSums]:
    """Stock of SKUs, and their sales under a promotion; empty for a SKU that was never counted."""
    numbers = _numbers(names, skus)
    units, known = stock_state.now.available(numbers)
    sums = [
        {"stock_available": n} if is_known else {} for n, is_known in zip(units.tolist(), known.tolist(), strict=True)
    ]
    if promotion is not None:
        sold = stock_state.sold.units(numbers, names.promotions.get(promotion, -1)).tolist()
        for sku_sum, paid in zip(sums, sold, strict=True):
            sku_sum["promotion_units"] = paid
    return sums


def _numbers(names: StockNames, skus: Sequence[str]) -> Ints:
    """Ids of SKUs; -1 for unknown ones."""
    return np.fromiter((names.skus.get(sku, -1) for sku in skus), np.int64, len(skus))
