"""Any codec, size and bytes of producers and disks: the worker runs on in bounded memory, and all good events count."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from consumers.dead_letters.letters import DeadLetter
from consumers.dead_letters.reading import read_dead_letters
from consumers.kafka.producer import OutgoingMessage
from consumers.settings import Clock
from consumers.topics import Topic
from consumers.unpacking.record import TRUNCATION_BYTES
from streams.clock import now_ms
from tests.support.batches import COMPRESS, Message, bomb, compressed
from tests.support.empty_broker import empty_broker
from tests.support.events import T0, click, wire
from tests.support.kafka import apache_kafka as start_apache_kafka
from tests.support.raw_batches import harm_length_on_disk, harm_on_disk, produce_raw
from tests.support.salepulse import salepulse
from tests.support.servers import Server
from tests.support.stack import Shop, stack
from tests.support.wait import eventually

pytestmark = pytest.mark.slow

MIB = 2**20
MOST_MEMORY_BYTES = 500 * MIB
"""The compose file gives a worker 768 MB."""
BOMB_BYTES = 2**30


def clicks(count: int, at: float) -> list[Message]:
    return [Message(wire(click(at=at + n / 100)), b"u-%d" % n, [("trace", b"%d" % n)]) for n in range(count)]


def write(shop: Shop, *batches: tuple[bytes, int]) -> list[int]:
    """Write batches, each with its number of records, to the partition of `clicks`; returns their first offsets."""
    offsets = asyncio.run(produce_raw(shop.broker.bootstrap, "clicks", *(batch for batch, _ in batches)))
    shop._written({("clicks", 0): offsets[-1] + batches[-1][1]})
    return offsets


def end_of(topic: str, broker: Server) -> int:
    """Offset after the last record of the topic's only partition."""

    async def ask() -> int:
        async with AIOKafkaConsumer(bootstrap_servers=broker.bootstrap) as consumer:
            place = TopicPartition(topic, 0)
            return int((await consumer.end_offsets([place]))[place])

    return asyncio.run(ask())


def dead_letters(shop: Shop) -> list[DeadLetter]:
    async def read() -> list[DeadLetter]:
        return [letter async for letter in read_dead_letters(shop.broker.bootstrap)]

    return sorted(asyncio.run(read()), key=lambda letter: letter.offset)


def most_memory_bytes(worker: Server) -> int:
    """Peak memory of the process."""
    status = Path(f"/proc/{worker.pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024


async def make_topic(bootstrap: str, name: str, largest: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 1, 1, topic_configs={"max.message.bytes": str(largest)})])
    finally:
        await admin.close()


def test_events_in_every_codec_are_counted(broker: Server, redis_server: Server) -> None:
    codecs = (None, "gzip", "snappy", "lz4", "zstd")

    async def send(bootstrap: str) -> None:
        for number, codec in enumerate(codecs):
            producer = AIOKafkaProducer(bootstrap_servers=bootstrap, compression_type=codec, linger_ms=50)
            await producer.start()
            try:
                sent = [await producer.send("clicks", one.value, partition=0) for one in clicks(200, at=number)]
                await asyncio.gather(*sent)
            finally:
                await producer.stop()

    with stack(broker, redis_server, partitions=1) as shop:
        pid = shop.workers[0].pid
        asyncio.run(send(broker.bootstrap))
        shop._written({("clicks", 0): 200 * len(codecs)})
        write(shop, *((compressed(clicks(50, at=10 + n), codec), 50) for n, codec in enumerate(sorted(COMPRESS))))
        shop.until_counted()
        assert shop.totals() == {"events,clicks,page_view": 200 * len(codecs) + 50 * len(COMPRESS)}
        assert shop.workers[0].pid == pid
        assert dead_letters(shop) == []


async def write_in_transactions(bootstrap: str, codec: str | None) -> int:
    """Write clicks of two transactional producers, every other transaction aborted, among clicks of a plain one.

    Returns the number of committed clicks. Transactions of both are open at the same time and have many batches.
    """
    plain = AIOKafkaProducer(bootstrap_servers=bootstrap)
    producers = [
        AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=f"t-{codec}-{n}", compression_type=codec)
        for n in range(2)
    ]
    for producer in (plain, *producers):
        await producer.start()
    committed = 0
    try:
        for turn in range(6):
            for producer in producers:
                await producer.begin_transaction()
            for part in range(5):
                for number, producer in enumerate(producers):
                    await asyncio.gather(*[await producer.send("clicks", one.value) for one in clicks(20, at=turn)])
                    await plain.send_and_wait("clicks", wire(click(at=turn + (part + number) / 100)))
                    committed += 1
            for number, producer in enumerate(producers):
                if (turn + number) % 2:
                    await producer.abort_transaction()
                else:
                    await producer.commit_transaction()
                    committed += 100
    finally:
        for producer in (plain, *producers):
            await producer.stop()
    return committed


@pytest.mark.kafka
def test_only_committed_transactions_are_counted(apache_kafka: Server, redis_server: Server) -> None:
    with stack(apache_kafka, redis_server, partitions=1, batch_records=70) as shop:
        committed = sum(asyncio.run(write_in_transactions(apache_kafka.bootstrap, codec)) for codec in (None, "zstd"))
        shop._written({("clicks", 0): end_of("clicks", apache_kafka)})
        shop.until_counted()
        assert shop.totals() == {"events,clicks,page_view": committed}
        assert dead_letters(shop) == []


@pytest.mark.kafka
def test_an_open_transaction_delays_its_partition_and_answers_are_not_live(
    apache_kafka: Server, redis_server: Server
) -> None:
    async def play(shop: Shop) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=apache_kafka.bootstrap, transactional_id="slow")
        await producer.start()
        try:
            await producer.begin_transaction()
            await producer.send_and_wait("clicks", wire(click(at=now_s())))
            async with AIOKafkaProducer(bootstrap_servers=apache_kafka.bootstrap) as plain:
                await plain.send_and_wait("clicks", wire(click(at=now_s())))
            await asyncio.to_thread(
                eventually, lambda: not answer(shop)["live"], within_s=30, what="the answer is not live"
            )
            assert answer(shop)["values"]["page_views"] == 99, "the as-of is that of the last event read"
            await producer.commit_transaction()
        finally:
            await producer.stop()

    def now_s() -> float:
        return now_ms() / 1000 - T0

    def answer(shop: Shop) -> dict[str, Any]:
        return dict(httpx.get(f"{shop.api.url}/api/v1/kpis", params={"window": "5m"}, timeout=5).json())

    with stack(apache_kafka, redis_server, partitions=1, clock=Clock.WALL, retain="") as shop:
        shop.send(OutgoingMessage(Topic.CLICKS, b"u", wire(click(at=now_s() - 10))) for _ in range(99))
        shop.send([OutgoingMessage(Topic.CLICKS, b"u", wire(click(at=now_s())))])
        shop.until_counted_to_the_end()
        eventually(lambda: answer(shop).get("live"), within_s=30, what="the answer is live")
        asyncio.run(play(shop))
        eventually(lambda: answer(shop)["live"] and answer(shop)["values"]["page_views"] == 102, within_s=30)


@pytest.mark.kafka
def test_undecodable_batches_become_one_dead_letter_each_and_are_reported_as_lost(
    apache_kafka: Server, redis_server: Server, tmp_path: Path
) -> None:
    """A disk with flipped bits, and a producer with an unknown codec."""
    with stack(apache_kafka, redis_server, partitions=1, workers=0) as shop:
        batches = [(compressed(clicks(10, at=n), "gzip" if n % 2 else "zstd"), 10) for n in range(10)]
        offsets = write(shop, *batches)
        harms = {
            1: (80, 0xFF, False),  # in the records: the checksum is wrong
            3: (80, 0xFF, True),  # the same with a recomputed checksum
            4: (22, 7, True),  # an unknown codec
            5: (22, 3, True),  # lz4, which does not match the records
            7: (16, 3, False),  # an unknown version
        }
        for number, (at, byte, sign) in harms.items():
            harm_on_disk(apache_kafka, "clicks", at, byte, base=offsets[number], sign=sign)
        pid = shop.start_worker().pid
        shop.until_counted()
        assert shop.workers[0].pid == pid
        assert shop.totals() == {
            "events,clicks,page_view": 10 * (10 - len(harms)),
            "rejected,clicks,unreadable_batch": len(harms),
            "records_lost,clicks": 10 * len(harms),
        }
        letters = dead_letters(shop)
        assert [(one.offset, one.last_offset, one.reason) for one in letters] == [
            (offsets[number], offsets[number] + 9, "unreadable_batch") for number in harms
        ]
        assert [len(one.value or b"") for one in letters] == [len(batches[number][0]) for number in harms]
        assert shop.incomplete() == ["clicks/0"]
        assert "batch cannot be decoded" in shop.log()
        done = salepulse(
            "doctor", "--json", "--bootstrap", apache_kafka.bootstrap, "--redis-url", redis_server.url, cwd=tmp_path
        )
        assert done.returncode == 1
        assert "50 records in undecodable batches" in done.stdout
        assert (
            'salepulse_records_lost_total{topic="clicks"} 50.0'
            in httpx.get(f"http://127.0.0.1:{shop.settings.http_port}/metrics").text
        )


@pytest.mark.kafka
def test_partitions_stuck_on_a_damaged_disk_are_named_and_continue_after_the_damage(
    apache_kafka: Server, redis_server: Server, tmp_path: Path
) -> None:
    """One partition answered with an error, one answered with nothing, and a healthy one."""
    with stack(apache_kafka, redis_server, partitions=3, workers=0) as shop:
        for number, length in enumerate((0, 2**30, None)):
            batches = [compressed(clicks(10, at=n), "none") for n in range(4)]
            offsets = asyncio.run(produce_raw(apache_kafka.bootstrap, "clicks", *batches, partition=number))
            if length is not None:
                harm_length_on_disk(apache_kafka, "clicks", length, base=offsets[2], partition=number)
        pid = shop.start_worker().pid
        url = f"http://127.0.0.1:{shop.settings.http_port}"
        shop.until_records_counted(20 + 20 + 40)

        def named() -> bool:
            reasons = httpx.get(f"{url}/readyz").text
            return all(f"clicks/{number} has been at offset 20" in reasons for number in (0, 1))

        eventually(named, within_s=90, what="both partitions are named")
        assert shop.workers[0].pid == pid
        assert shop.workers[0].running, "the worker continues with other partitions; a new one could not do more"
        answer = httpx.get(f"{url}/readyz")
        assert answer.status_code == 503
        assert "partition_stuck" in answer.json()["codes"]
        metrics = httpx.get(f"{url}/metrics").text
        seconds = dict(
            re.findall(r'salepulse_partition_stuck_seconds\{partition="(\d)",topic="clicks"\} (\S+)', metrics)
        )
        assert [float(seconds[number]) > 60 for number in "012"] == [True, True, False]
        done = salepulse(
            "doctor", "--json", "--bootstrap", apache_kafka.bootstrap, "--redis-url", redis_server.url, cwd=tmp_path
        )
        assert done.returncode == 1
        found = [one["message"] for one in json.loads(done.stdout)["checks"] if one["check"] == "stuck partition"]
        assert "clicks/0 has been at offset 20" in found[0]
        assert "the broker answers none of its fetches" in found[0]
        assert "clicks/1 has been at offset 20" in found[1]
        assert "20 records wait after it" in found[1]
        asyncio.run(delete_records(apache_kafka.bootstrap, {0: 40, 1: 40}))  # the documented fix
        asyncio.run(send_clicks(apache_kafka.bootstrap, (0, 1, 2)))
        shop.until_distinct_counted(20 + 20 + 40 + 3, within_s=120)
        assert sorted(shop.incomplete()) == ["clicks/0", "clicks/1"]


async def delete_records(bootstrap: str, upto: dict[int, int]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        records = {TopicPartition("clicks", number): RecordsToDelete(offset) for number, offset in upto.items()}
        await admin.delete_records(records)
    finally:
        await admin.close()


async def send_clicks(bootstrap: str, partitions: tuple[int, ...]) -> None:
    for number in partitions:
        await produce_raw(bootstrap, "clicks", compressed(clicks(1, at=100), "none"), partition=number)


@pytest.fixture(scope="module")
def shared_roomy_kafka(shared_apache_kafka: Server) -> Iterator[Server]:
    """A broker that accepts large requests; tests ask for `large_messages` instead. Skipped without Kafka."""
    with start_apache_kafka(settings=[f"socket.request.max.bytes={129 * MIB}"], memory="768m") as broker:
        yield broker


@pytest.fixture
def large_messages(shared_roomy_kafka: Server) -> Server:
    """A broker whose `clicks` accepts large messages."""
    empty_broker(shared_roomy_kafka.bootstrap)
    asyncio.run(make_topic(shared_roomy_kafka.bootstrap, "clicks", 64 * MIB))
    return shared_roomy_kafka


@pytest.mark.kafka
def test_a_20_mb_message_becomes_a_truncated_dead_letter_and_blocks_nothing(
    large_messages: Server, redis_server: Server
) -> None:
    value = b"x" * (20 * MIB)
    asyncio.run(make_topic(large_messages.bootstrap, "dead-letters", MIB))
    with stack(large_messages, redis_server, partitions=1) as shop:
        middling = Message(b"y" * (3 * MIB), b"k", [("trace", b"8")])
        batches = [
            compressed([*clicks(5, at=1), Message(value, b"key", [("trace", b"7")]), *clicks(5, at=2)], "none"),
            compressed([*clicks(5, at=3), Message(value), *clicks(5, at=4)], "lz4"),
            compressed([*clicks(5, at=5), middling, *clicks(5, at=6)], "zstd"),
        ]
        write(shop, *((batch, 11) for batch in batches))
        shop.until_counted()
        assert shop.totals() == {"events,clicks,page_view": 30, "rejected,clicks,too_large": 3}
        assert shop.incomplete() == []
        first, second, third = dead_letters(shop)
        assert [one.id for one in (first, second, third)] == ["clicks/0/5", "clicks/0/16", "clicks/0/27"]
        assert (first.key, list(first.headers)) == (b"key", [("trace", b"7")])
        assert first.value == second.value == value[:TRUNCATION_BYTES]
        assert first.truncation is not None
        assert first.truncation.size == len(value)
        assert (third.value, list(third.headers)) == (b"y" * TRUNCATION_BYTES, [("trace", b"8")])
        assert third.truncation is not None
        assert third.truncation.size == 3 * MIB


@pytest.mark.kafka
@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_a_1_gb_decompression_bomb_stays_within_memory_and_other_events_count(
    large_messages: Server, redis_server: Server, codec: str
) -> None:
    with stack(large_messages, redis_server, partitions=1) as shop:
        shop.until_all_partitions_worked()
        worker = shop.workers[0]
        before, around = clicks(20, at=1), clicks(40, at=2)
        many = compressed([Message(wire(click(at=3 + n / 1000)) + b" " * 30_000) for n in range(4_000)], codec)
        write(
            shop,
            (compressed(before, "none"), 20),
            (bomb(codec, BOMB_BYTES, around[:20], around[20:]), 41),
            (many, 4_000),
        )
        shop.until_counted(within_s=120)
        assert shop.totals() == {"events,clicks,page_view": 4_060, "rejected,clicks,too_large": 1}
        assert shop.workers[0] is worker
        assert worker.running
        (letter,) = dead_letters(shop)
        assert letter.truncation is not None
        assert letter.truncation.size == BOMB_BYTES
        print(codec, "peak memory", most_memory_bytes(worker) // MIB, "MiB")  # noqa: T201
        assert most_memory_bytes(worker) < MOST_MEMORY_BYTES


@pytest.mark.kafka
def test_many_large_rejected_messages_stay_within_memory(large_messages: Server, redis_server: Server) -> None:
    """1,500 messages of 400 KB, in one small batch and in many: each is a dead letter, and none stays in memory."""
    rejected = [Message(b'{"a":"%d' % n + b"x" * 400_000 + b'"}', b"k", []) for n in range(500)]
    with stack(large_messages, redis_server, partitions=1, accept="clicks") as shop:
        shop.until_all_partitions_worked()
        for _ in range(3):
            write(shop, (compressed([*rejected, *clicks(10, at=1)], "zstd"), 510))
        shop.until_counted()
        assert shop.totals()["rejected,clicks,missing_field"] == 1_500
        assert most_memory_bytes(shop.workers[0]) < MOST_MEMORY_BYTES
