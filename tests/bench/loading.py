"""Write events to the broker before a run, and record them for the check."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from consumers.kafka.producer import EndOffsets, KeyedProducer, OutgoingMessage
from tests.bench.facts import Facts


def load(bootstrap: str, blocks: Iterable[list[OutgoingMessage]], facts: Facts | None = None) -> EndOffsets:
    """Write lists of messages; back when the broker has confirmed all of them."""
    return asyncio.run(_load(bootstrap, blocks, facts))


async def _load(bootstrap: str, blocks: Iterable[list[OutgoingMessage]], facts: Facts | None) -> EndOffsets:
    async with KeyedProducer(bootstrap) as producer:
        for block in blocks:
            await producer.put(block)
            if facts is not None:
                facts.add(block)
            await asyncio.sleep(0)
        return await producer.flush()
