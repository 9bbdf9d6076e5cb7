"""Reads the stock event log block by block while workers append to it; each reader gets each entry once.

A reader covers a span of event time. Reading blocks extends it. A polled entry is passed to the reader if it is inside
the span; otherwise it will be in its block by the time that the reader reads that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streams.stock.ledger import Ledger, merge_ledgers
from streams.store.levels import PaneLevel
from streams.store.reader import PaneSource
from streams.view.blocks import Blocks

_FIRST, _MOST = 4, 256
_ENTRIES = 50_000
"""Blocks read at once; more while they hold fewer entries than this, as other tasks wait meanwhile."""


@dataclass(slots=True, eq=False)
class StockLogReader:
    """A reader of one level; it has all of [start_ms, end_ms)."""

    level: str
    start_ms: int
    end_ms: int
    add: Callable[[Ledger], None]
    """Receives entries in any order."""

    def polled(self, ledger: Ledger) -> None:
        """Pass late entries inside the span."""
        late = ledger.between(self.start_ms, self.end_ms)
        if late:
            self.add(late)


class StockEventLog:
    """The blocks of the stock levels, and polled entries."""

    def __init__(self, reader: PaneSource, blocks: Blocks, levels: Sequence[PaneLevel]) -> None:
        self._reader = reader
        self._blocks = blocks
        self._block_ms = {level.name: 1000 * level.block_s for level in levels}
        self._starts: dict[str, set[int]] = {}
        """# {level: starts of its blocks, epoch ms}; filled on first read"""
        self._polled: dict[str, set[int]] = {level.name: set() for level in levels}
        """# {level: starts of blocks that polled entries belong to}"""
        self._log_readers: list[StockLogReader] = []

    def polled(self, ledgers: Sequence[Ledger]) -> None:
        """Add the entries that were applied since the last poll."""
        merged = merge_ledgers(ledgers)
        if not merged:
            return
        times = merged.times
        for level, length in self._block_ms.items():
            self._polled[level].update(set((times - times % length).tolist()))
        for log_reader in self._log_readers:
            log_reader.polled(merged)

    def subscribe(self, log_reader: StockLogReader) -> None:
        """Pass polled entries to this reader from now on."""
        self._log_readers.append(log_reader)

    def unsubscribe(self, log_reader: StockLogReader) -> None:
        """Stop passing entries to this reader."""
        self._log_readers.remove(log_reader)

    async def read(
        self, log_reader: StockLogReader, to_ms: int, on_progress: Callable[[int], None] = lambda _: None
    ) -> None:
        """Extend a subscribed reader at least to `to_ms`; `on_progress` is called after each step."""
        length = self._block_ms[log_reader.level]
        to_ms, at_once = -(-to_ms // length) * length, _FIRST
        while log_reader.end_ms < to_ms:
            wanted = sorted(
                start for start in await self._known(log_reader.level) if log_reader.end_ms <= start < to_ms
            )
            wanted = wanted[:at_once]
            if not wanted:
                log_reader.end_ms = to_ms
                return
            blocks = await self._blocks.read([(log_reader.level, start // 1000) for start in wanted])
            # No await from here on: the next poll must see the extended span.
            end = wanted[-1] + length
            if {start for start in self._polled[log_reader.level] if log_reader.end_ms <= start < end} - set(wanted):
                continue  # a block between them was created meanwhile
            for delta in blocks.values():
                log_reader.add(delta.stock)
            log_reader.end_ms = end
            on_progress(end)
            entries = sum(delta.stock.size for delta in blocks.values())
            at_once = min(_MOST, 2 * at_once) if entries < _ENTRIES else max(1, at_once // 2)

    async def _known(self, level: str) -> set[int]:
        if level not in self._starts:
            self._starts[level] = {1000 * start for start in await self._reader.starts(level)}
        return self._starts[level] | self._polled[level]
