"""A shop with many panes, and clients that send the most expensive queries in a loop."""

from __future__ import annotations

import contextlib
import http.client
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from tests.streams.serve.shop import CLICKS, ORDERS, Shop, at, click, paid

SKUS = 4_000
HOURS = 3
_PER_BATCH = 4_000


async def fill(shop: Shop, events: int = 24_000, seed: int = 1) -> None:
    """Compacted orders and clicks over three hours."""
    chance = random.Random(seed)
    moments = sorted(chance.uniform(0, HOURS * 3600) for _ in range(events))
    for i in range(0, events, _PER_BATCH):
        part = moments[i : i + _PER_BATCH]
        orders = [
            paid(s, chance.randint(100, 9999), f"u{i + n}", f"sku-{chance.randrange(SKUS)}", channel="app")
            for n, s in enumerate(part)
        ]
        views = [
            click(s, "product_view", f"u{chance.randrange(20_000)}", sku=f"sku-{chance.randrange(SKUS)}") for s in part
        ]
        await shop.send(ORDERS, *orders)
        await shop.send(CLICKS, *views)
        await shop.compact()
    await shop.attend()


def costly(chance: random.Random) -> str:
    """A path with a slow answer, different each time."""
    end = at(HOURS * 3600 - chance.randrange(3600))
    window = chance.choice(("24h", "1h", "day"))
    return chance.choice(
        (
            f"/api/v1/kpis?scope=sku&window={window}&as_of={end}",
            f"/api/v1/top?scope=sku&window={window}&n=1000&as_of={end}",
            f"/api/v1/series/visitors?window={window}&start={end - 1_900_000}&end={end}&step=1000",
            f"/api/v1/kpis?scope=sku&window={chance.choice(('1m', '5m', '15m', '1h', '24h', 'day'))}",
            "/api/v1/stock?n=1000",
            f"/api/v1/compare?against=yesterday&scope=sku&window={window}&as_of={end}",
        )
    )


def read(port: int, seed: int, seconds: float) -> Counter[int]:
    """Send queries for some seconds; returns the count of each status."""
    chance, statuses = random.Random(seed), Counter[int]()
    ends_s = time.monotonic() + seconds
    while time.monotonic() < ends_s:
        asked = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(asked):
            asked.request("GET", costly(chance))
            answer = asked.getresponse()
            answer.read()
            statuses[answer.status] += 1
            if answer.status == 429:
                time.sleep(0.05)  # earlier than Retry-After
    return statuses


_READERS = """
import sys, threading, json
from collections import Counter
from tests.streams.serve.busy import read
port, readers, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
total = Counter()
def one(seed):
    total.update(read(port, seed, seconds))
threads = [threading.Thread(target=one, args=(seed,)) for seed in range(readers)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(json.dumps(total))
"""


@contextlib.contextmanager
def readers(port: int, how_many: int, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Clients in a process of their own, which print the count of each status."""
    argv = [sys.executable, "-c", _READERS, str(port), str(how_many), str(seconds)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@dataclass
class Watched:
    """Responses of one path: milliseconds, and the result of `note` for each body."""

    ms: list[float] = field(default_factory=list)
    bodies: list[tuple[int, bytes]] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """In ms."""
        return float(np.percentile(self.ms, share))


def watch(port: int, paths: tuple[str, ...], seconds: float, every_s: float = 0.25) -> dict[str, Watched]:
    """Request each path in turn, on connections of their own."""
    found = {path: Watched() for path in paths}
    ends_s = time.monotonic() + seconds
    while time.monotonic() < ends_s:
        for path in paths:
            began = time.perf_counter()
            asked = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            with contextlib.closing(asked):
                asked.request("GET", path)
                answer = asked.getresponse()
                body = answer.read()
            found[path].ms.append((time.perf_counter() - began) * 1000)
            found[path].bodies.append((answer.status, body))
        time.sleep(every_s)
    return found
