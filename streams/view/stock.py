"""Stock as of a moment, for the view: a book at the newest as-of, and a few at moments of the past."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import TypeVar

from streams.panes.arrays import Ints
from streams.panes.steps import DAY_S, HOUR_S
from streams.stock.book import StockBook
from streams.stock.ledger import Ledger, merge_ledgers
from streams.store.levels import STOCK, STOCK_SALES
from streams.view.journal import Journal, Reach

_PAST_BOOKS = 4
"""Comparisons ask about yesterday, last week and an earlier promotion by turns."""
_PAST_LAG_MS = 600_000
_NEAR_MS = 1000 * DAY_S
"""A book of the past is moved on so far rather than a new one made."""

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Kept:
    """A book, and what it has been given."""

    book: StockBook
    sales: Reach
    """Sales before the journal that it has read begins."""
    entries: Reach


class StockView:
    """Stock at every moment that is asked about; made on first use, then kept moving."""

    def __init__(self, journal: Journal, keep_ms: int | None) -> None:
        """`keep_ms`: an older count does not count; None: all do."""
        self._journal = journal
        self._keep_ms = keep_ms
        self._live: _Kept | None = None
        self._past: list[_Kept] = []
        """The one last asked at the end."""
        self._one_at_a_time = asyncio.Lock()

    async def ask(self, as_of_ms: int, live: bool, question: Callable[[StockBook], T]) -> T:
        """What a question says of the book at an as-of; `live`: it is the newest."""
        async with self._one_at_a_time:
            kept = await (self._at_newest(as_of_ms) if live else self._in_the_past(as_of_ms))
            return question(kept.book)

    async def journal(self, skus: Ints, start_ms: int, end_ms: int) -> Ledger:
        """All that happened to some SKUs (ascending) in [start_ms, end_ms)."""
        async with self._one_at_a_time:
            return (await self._history(skus, start_ms, end_ms)).between(start_ms, end_ms)

    async def _at_newest(self, as_of_ms: int) -> _Kept:
        if self._live is None or as_of_ms < self._live.book.floor_ms:
            if self._live is not None:
                self._drop(self._live)
            self._live = self._begin(as_of_ms, live=True)
        await self._bring(self._live, as_of_ms)
        return self._live

    async def _in_the_past(self, as_of_ms: int) -> _Kept:
        near = [
            kept
            for kept in self._past
            if kept.book.floor_ms <= as_of_ms and abs(as_of_ms - kept.book.as_of_ms) <= _NEAR_MS
        ]
        kept = max(near, key=lambda kept: kept.book.as_of_ms, default=None) or self._begun_in_the_past(as_of_ms)
        if kept in self._past:
            self._past.remove(kept)
        self._past.append(kept)
        while len(self._past) > _PAST_BOOKS:
            self._drop(self._past.pop(0))
        await self._bring(kept, as_of_ms)
        return kept

    def _begun_in_the_past(self, as_of_ms: int) -> _Kept:
        """A copy of the book of an earlier moment, which stays where it is, if that is less to read than all."""
        start_ms = self._start_ms(as_of_ms)
        earlier = [kept for kept in self._past if start_ms < kept.entries.end_ms and kept.book.as_of_ms <= as_of_ms]
        nearest = max(earlier, key=lambda kept: kept.book.as_of_ms, default=None)
        if nearest is None:
            return self._begin(as_of_ms, live=False)
        return self._followed(deepcopy(nearest.book), nearest.entries.start_ms, nearest.sales, nearest.entries)

    def _begin(self, as_of_ms: int, *, live: bool) -> _Kept:
        """A book that has read nothing yet."""
        book = StockBook(self._keep_ms) if live else StockBook(self._keep_ms, lag_ms=_PAST_LAG_MS)
        return self._followed(book, self._start_ms(as_of_ms))

    def _start_ms(self, as_of_ms: int) -> int:
        """From where on the journal is read for a moment."""
        start_ms = 0 if self._keep_ms is None else max(0, as_of_ms - self._keep_ms)
        return start_ms - start_ms % (1000 * DAY_S)

    def _followed(
        self, book: StockBook, start_ms: int, sales: Reach | None = None, entries: Reach | None = None
    ) -> _Kept:
        """A book whose entries come from a moment on. `sales`, `entries`: what it has got of them already."""
        kept = _Kept(
            book,
            Reach(STOCK_SALES, 0, sales.end_ms if sales else 0, lambda ledger: book.add(Ledger(sales=ledger.sales))),
            Reach(STOCK, start_ms, entries.end_ms if entries else start_ms, book.add),
        )
        self._journal.follow(kept.sales)
        self._journal.follow(kept.entries)
        return kept

    def _drop(self, kept: _Kept) -> None:
        self._journal.leave(kept.sales)
        self._journal.leave(kept.entries)

    async def _bring(self, kept: _Kept, as_of_ms: int) -> None:
        """Move a book to an as-of that is not before its floor."""
        book = kept.book
        await self._journal.read(kept.sales, kept.entries.start_ms)

        def passed(end_ms: int) -> None:
            if book.as_of_ms < min(end_ms, as_of_ms):
                book.move_to(min(end_ms, as_of_ms))

        await self._journal.read(kept.entries, as_of_ms, passed)
        await self._place_late_counts(book)
        book.move_to(as_of_ms)

    async def _place_late_counts(self, book: StockBook) -> None:
        """Read what the book wants to know of SKUs that were counted long ago, as it hears now."""
        while (wanted_ms := book.wanted_ms) is not None:
            skus = book.wanted_skus
            history = await self._history(skus, wanted_ms, book.floor_ms)
            if book.wanted_ms == wanted_ms and len(book.wanted_skus) == len(skus):  # else more was heard meanwhile
                book.correct(history)

    async def _history(self, skus: Ints, start_ms: int, end_ms: int) -> Ledger:
        """All that the journal says of some SKUs in [start_ms, end_ms), and maybe more around that."""
        found: list[Ledger] = []
        start_ms -= start_ms % (1000 * HOUR_S)
        reach = Reach(STOCK, start_ms, start_ms, lambda ledger: found.append(ledger.of_skus(skus)))
        self._journal.follow(reach)
        try:
            await self._journal.read(reach, end_ms)
        finally:
            self._journal.leave(reach)
        return merge_ledgers(found)
