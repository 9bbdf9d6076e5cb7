"""Cost of a large shop's stock in a server: `python -m tests.tools.stock_cost`.

1,000,000 SKUs are counted, a third of them in two warehouses; 100,000 of them sell (Zipf), 4,000 order lines a second.
The book follows the as-of second by second. The figures in `docs/stock.md` are of the defaults.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import psutil

from streams.panes.arrays import Ints
from streams.panes.rows import StockNames
from streams.stock.ledger import Ledger, LedgerEntries, min_entries, pair_codes, sum_entries
from streams.stock.stock_state import StockState

T0_MS = 1_762_776_000_000
LINES_S = 4_000
WARMED_UP_S = 60


def counts(rng: np.random.Generator, skus: Ints) -> LedgerEntries:
    """A count of some SKUs, a third of them in two warehouses."""
    both = np.concatenate((skus, skus[::3]))
    warehouses = np.concatenate((np.zeros(len(skus), np.int64), np.ones(len(skus[::3]), np.int64)))
    return min_entries(
        pair_codes(both, warehouses), rng.integers(T0_MS, T0_MS + 60_000, len(both)), rng.integers(0, 500, len(both))
    )


def second(rng: np.random.Generator, active: Ints, at_ms: int) -> Ledger:
    """What is ordered in a second."""
    ranks = np.minimum((len(active) ** rng.random(LINES_S)).astype(np.int64), len(active)) - 1
    sold = sum_entries(pair_codes(active[ranks], -1), rng.integers(at_ms, at_ms + 1000, LINES_S), np.full(LINES_S, -1))
    return Ledger(sold)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--known", type=int, default=1_000_000)
    parser.add_argument("--active", type=int, default=100_000)
    parser.add_argument("--seconds", type=int, default=300)
    options = parser.parse_args()
    rng, say = np.random.default_rng(1), print
    process = psutil.Process()

    def mb() -> float:
        return float(process.memory_info().rss / 2**20)

    def timed(what: str, work: Callable[[], object]) -> None:
        began = time.perf_counter()
        work()
        say(f"{what}: {1000 * (time.perf_counter() - began):.1f} ms")

    base, names = mb(), StockNames()
    for i in range(options.known):
        names.skus[f"sku-{i:08d}"]
    say(f"names of {options.known:,} SKUs: {mb() - base:.0f} MB")
    base, book, everything = mb(), StockState(), np.arange(options.known)
    opening = Ledger(levels=counts(rng, everything))
    timed("taking in a count of every SKU", lambda: book.add(opening))
    timed("counting it", lambda: book.move_to(T0_MS + 60_000))
    active = rng.choice(options.known, options.active, replace=False)
    spent: list[float] = []
    for i in range(WARMED_UP_S, WARMED_UP_S + options.seconds):
        at_ms = T0_MS + 1000 * i
        ledger = second(rng, active, at_ms)
        began = time.perf_counter()
        book.add(ledger)
        book.move_to(at_ms + 1000)
        book.counts()
        spent.append(1000 * (time.perf_counter() - began))
    say(f"the book after {options.seconds} s of {LINES_S:,} lines: {mb() - base:.0f} MB, {book._entries:,} entries")
    say(f"a second of {LINES_S:,} lines, with stockout_skus: {np.median(spent):.1f} ms, at most {max(spent):.1f} ms")
    timed("the as-of goes back by 2 s", lambda: book.move_to(book.as_of_ms - 2000))
    late = Ledger(levels=counts(rng, np.sort(active[:10_000])))
    timed("late counts of 10,000 SKUs", lambda: book.add(late))
    timed("100 SKUs", lambda: book.now.available(active[:100]))


if __name__ == "__main__":
    main()
