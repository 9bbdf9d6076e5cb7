"""Writes raw batches to a topic, and damages them on the disk of a running broker."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import for_code
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.structs import TopicPartition

from tests.support.batches import signed
from tests.support.servers import Server


async def produce_raw(bootstrap: str, topic: str, *batches: bytes, partition: int = 0) -> list[int]:
    """Write batches unchanged; returns the offset of each one's first record. Raises the broker's error."""
    client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=120_000)
    await client.bootstrap()
    try:
        await client._wait_on_metadata(topic)
        leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
        offsets = []
        for batch in batches:
            request = ProduceRequest(
                required_acks=-1, timeout=120_000, topics=[(topic, [(partition, batch)])], transactional_id=None
            )
            answer = await client.send(leader, request)
            ((_, ((_, code, offset, *_),)),) = answer.topics
            if code:
                raise for_code(code)
            offsets.append(offset)
        return offsets
    finally:
        await client.close()


def harm_on_disk(broker: Server, topic: str, at: int, byte: int, *, base: int, sign: bool, partition: int = 0) -> None:
    """Change a byte of the batch at an offset, in the file of an Apache Kafka; `sign`: and its checksum."""
    with _log(broker, topic, partition) as data:
        start = _start(data, base)
        data[start + at] = byte
        end = start + 12 + int.from_bytes(data[start + 8 : start + 12], "big")
        if sign:
            data[start:end] = signed(data[start:end])


def harm_length_on_disk(broker: Server, topic: str, length: int, *, base: int, partition: int = 0) -> None:
    """Change the length of the batch at an offset: the broker then finds no record after it."""
    with _log(broker, topic, partition) as data:
        start = _start(data, base)
        data[start + 8 : start + 12] = length.to_bytes(4, "big", signed=True)


@contextmanager
def _log(broker: Server, topic: str, partition: int) -> Iterator[mmap.mmap]:
    (log,) = Path(broker.folder, "data", f"{topic}-{partition}").glob("*.log")
    with log.open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        yield data


def _start(data: mmap.mmap, base: int) -> int:
    start = 0
    while int.from_bytes(data[start : start + 8], "big") != base:
        start += 12 + int.from_bytes(data[start + 8 : start + 12], "big")
    return start
