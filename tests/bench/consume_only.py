"""Upper limit of reading in one process: aiokafka's `getmany` without processing.

    python -m tests.bench.consume_only BOOTSTRAP GROUP COUNT

Prints {events_per_s, cpu_s_per_million, peak_mb} from the first record read to the last.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import uvloop
from aiokafka import AIOKafkaConsumer

from streams.settings import Settings


async def consume(bootstrap: str, group: str, count: int) -> dict[str, float]:
    settings = Settings()
    consumer = AIOKafkaConsumer(
        "clicks",
        "orders",
        bootstrap_servers=bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=settings.fetch_wait_ms,
        max_partition_fetch_bytes=settings.fetch_bytes,
        session_timeout_ms=int(settings.session_timeout_s * 1000),
    )
    await consumer.start()
    try:
        seen = first = 0
        began = used = 0.0
        while seen < count:
            read = await consumer.getmany(timeout_ms=200, max_records=settings.batch_records)
            seen += sum(map(len, read.values()))
            if not began and seen:
                began, used, first = time.perf_counter(), time.process_time(), seen
        elapsed, cpu = time.perf_counter() - began, time.process_time() - used
    finally:
        await consumer.stop()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {
        "events_per_s": (seen - first) / elapsed,
        "cpu_s_per_million": cpu * 1e6 / (seen - first),
        "peak_mb": peak,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(uvloop.run(consume(sys.argv[1], sys.argv[2], int(sys.argv[3])))))
