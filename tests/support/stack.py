"""A whole salepulse for tests: worker processes and a server, on a given broker and Redis.

    with stack(broker, redis, workers=2) as shop:
        shop.replay(folder)
        shop.kill_worker()
        shop.start_worker()
        shop.until_counted()
        check(shop.api, expected)

Its processes end with the `with` block, and with the test run even if that is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import psutil
import redis
from redis.exceptions import ClusterDownError, RedisClusterException

from consumers.kafka.producer import EndOffsets, OutgoingMessage, send_all
from consumers.replay import ReplayResult, replay_files
from consumers.settings import Clock
from consumers.topic_admin import create_topics, default_plans
from consumers.topics import Partition, input_topic
from streams.clock import now_ms
from streams.local.embedded.child import always_ready
from streams.local.embedded.ports import free_port
from streams.local.embedded.supervisor import tail
from streams.local.stack.plan import temporary_data_dir
from streams.settings import Settings
from streams.store.keys import Keys
from streams.store.state import StoreState, parse_state
from tests.support.answers import HttpApi
from tests.support.commands import require_program, run_program
from tests.support.servers import Server, http_ready
from tests.support.wait import eventually

REPOSITORY = Path(__file__).parents[2]
WORKER = """
import sys
from streams.worker import app, partition
from streams.settings import Settings
partition.COMPACT_EVERY_S = float(sys.argv[1])
app.run(Settings())
"""
SERVE = """
from streams.serve import app
from streams.settings import Settings
app.run(Settings())
"""


AWAY = (redis.ConnectionError, redis.TimeoutError, RedisClusterException, ClusterDownError)
"""Errors of a Redis under fault injection."""


def wrong_clock(by: str) -> dict[str, str]:
    """Environment of a process whose machine's clock is wrong by `by`; empty if it is right.

    The machine's monotonic clock is unaffected. `faketime` itself is not run, as it would be the parent of the process.
    """
    if not by:
        return {}
    library = run_program(require_program("faketime", package="faketime"), "-f", by, "printenv", "LD_PRELOAD").strip()
    return {
        "LD_PRELOAD": library,
        "FAKETIME": by,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


class Store(Protocol):
    """A Redis or a cluster."""

    @property
    def url(self) -> str: ...


class Shop:
    """The processes that `stack` started."""

    def __init__(
        self,
        broker: Server,
        store: Store,
        settings: Settings,
        folder: Path,
        compact_every_s: float,
        serve_clock: str = "",
    ) -> None:
        self.broker, self.redis, self.settings = broker, store, settings
        self.api = HttpApi(f"http://{settings.http_host}:{settings.http_port}")
        self.workers: list[Server] = []
        """The workers that should run."""
        self.ends: EndOffsets = {}
        """The end offsets of written messages, by topic and partition."""
        self.folder = folder
        self._compact_every_s = compact_every_s
        self._started = 0
        self.environment = environment(settings)
        """Of its processes."""
        answering = http_ready(settings.http_host, settings.http_port, "/healthz")
        argv = [sys.executable, "-c", SERVE]
        env = {**self.environment, **wrong_clock(serve_clock)}
        self.serve = Server("serve", argv, settings.http_port, answering, folder, env=env)
        self._keys = Keys(settings.redis_prefix, settings.shards)
        self._hands = ThreadPoolExecutor(1, thread_name_prefix="replay")

    # Events ----------------------------------------------------------------------------------------------------------

    def replay(self, *paths: Path, speed: float | None = None) -> ReplayResult:
        """Write recordings to the broker; returns when all is written."""
        done = asyncio.run(replay_files(paths, kafka=self.settings.kafka, speed=speed))
        self._written(done.ends)
        return done

    @contextlib.contextmanager
    def replaying(self, *paths: Path, speed: float) -> Iterator[Future[ReplayResult]]:
        """Write recordings at `speed` times their pace during the block; waits for the rest at its end."""
        future = self._hands.submit(self.replay, *paths, speed=speed)
        try:
            yield future
        finally:
            future.result()

    def send(self, messages: Iterable[OutgoingMessage]) -> None:
        """Write messages to the broker, in order within a key."""
        self._written(asyncio.run(send_all(self.settings.kafka, messages)))

    def _written(self, ends: EndOffsets) -> None:
        self.ends = {at: max(ends.get(at, 0), self.ends.get(at, 0)) for at in {*ends, *self.ends}}

    # Workers ---------------------------------------------------------------------------------------------------------

    def start_worker(self, program: str = WORKER, *, clock: str = "") -> Server:
        """Start another worker without waiting for it. `program`: a worker with a fault.

        `clock`: the error of its machine's clock, such as `+90s`.
        """
        self._started += 1
        argv = [sys.executable, "-c", program, str(self._compact_every_s)]
        # The server may not have bound its port yet.
        metrics_port = next(port for port in iter(free_port, None) if port != self.settings.http_port)
        env = {**self.environment, "SALEPULSE_METRICS_PORT": str(metrics_port), **wrong_clock(clock)}
        worker = Server(f"worker-{self._started}", argv, metrics_port, always_ready, self.folder, env=env)
        worker.start()
        self.workers.append(worker)
        return worker

    def kill_worker(self, at: int = 0) -> None:
        """Kill the oldest worker, or another, with SIGKILL."""
        self.workers.pop(at).kill()

    def stop_worker(self, at: int = 0) -> None:
        """Send SIGTERM to the oldest worker, or another, and wait for its exit."""
        self.workers.pop(at).stop()

    def memory_mb(self, at: int = 0) -> float:
        """Resident memory of a worker."""
        return float(psutil.Process(self.workers[at].pid).memory_info().rss / 2**20)

    def log(self) -> str:
        """The log of all workers, without colours."""
        logs = "".join(path.read_text() for path in sorted(self.folder.glob("worker-*.log")))
        return re.sub(r"\x1b\[[0-9;]*m", "", logs)

    # Progress -------------------------------------------------------------------------------------------------

    def until_all_partitions_worked(self, within_s: float = 60) -> None:
        """Wait until workers report every partition as assigned."""
        self._until(within_s, "every partition is assigned", lambda: not self._unattended())

    def until_records_counted(self, position: float, within_s: float = 60) -> None:
        """Wait until this many records are counted, over all partitions."""
        self._until(within_s, f"{position:.0f} records are counted", lambda: self.position() >= position)

    def until_distinct_counted(self, events: int, within_s: float = 60) -> None:
        """Wait until exactly this many distinct events are counted in total."""
        self._until(within_s, f"{events} events are counted", lambda: self.counted() == events)

    def until_counted(self, within_s: float = 240) -> None:
        """Wait until all written messages are counted and reported, and answers have the newest as-of."""
        self._until(within_s, "everything is counted", lambda: not (self._uncounted() or self._unattended(lag=0)))
        counted_ms = now_ms()
        newest_ms = max(held.newest_ms or 0 for held in self.state().partitions.values())
        self._until(120, "answers include all of it", lambda: self.api.read_ms() > counted_ms)
        self._until(60, "answers are up to it", lambda: self.api.as_of_ms() == newest_ms // 1000 * 1000)

    def until_counted_to_the_end(self, within_s: float = 30) -> None:
        """Wait until all written messages are counted and in every answer, whatever the as-of."""
        self._until(within_s, "everything is counted", lambda: not self._uncounted())
        counted_ms = now_ms()
        self._until(within_s, "answers include all of it", lambda: self.api.read_ms() > counted_ms)

    def until_worker_heartbeats_stop(self, within_s: float = 30) -> None:
        """Wait until the last reports of killed workers are outdated for some partition."""
        self._until(within_s, "some partition is unassigned", lambda: bool(self._unattended()))

    def position(self) -> int:
        """Records counted so far, over all partitions."""
        return sum(held.position or 0 for held in self.state().partitions.values())

    def totals(self) -> dict[str, int]:
        """The exact totals by name: `events,topic,type`, `rejected,topic,reason`, ..."""
        with self._client() as client:
            held = [client.hgetall(self._keys.totals(shard)) for shard in range(self._keys.shards)]
        totals: Counter[str] = Counter()
        for shard in held:
            totals.update({name.decode(): int(count) for name, count in shard.items()})
        return dict(totals)

    def counted(self) -> int:
        """Distinct events counted in total."""
        return sum(count for name, count in self.totals().items() if name.startswith("events,"))

    def state(self) -> StoreState:
        """The state of every partition."""
        return parse_state(self.fields())

    def fields(self) -> list[dict[bytes, bytes]]:
        """The state in Redis, one hash per shard."""
        with self._client() as client:
            return [client.hgetall(self._keys.state(shard)) for shard in range(self._keys.shards)]

    def _client(self) -> redis.Redis | redis.RedisCluster:
        kind = redis.RedisCluster if self.settings.redis_cluster else redis.Redis
        return kind.from_url(self.redis.url)

    def dead_letters(self) -> int:
        """Messages rejected so far."""
        return sum(count for name, count in self.totals().items() if name.startswith("rejected,"))

    def incomplete(self) -> list[str]:
        """Partitions with lost records."""
        return [name.decode().partition(":")[2] for held in self.fields() for name in held if b"incomplete:" in name]

    def _uncounted(self) -> dict[str, tuple[int | None, int]]:
        """Partitions whose position is not at the end: {name: (position, end)}."""
        positions = {name: value for fields in self.fields() for name, value in fields.items()}
        found = {}
        for (topic, number), end in self.ends.items():
            position = positions.get(f"pos:{Partition(input_topic(topic), number)}".encode())
            if position is None or int(position) != end:
                found[f"{topic}/{number}"] = (position and int(position), end)
        return found

    def _unattended(self, lag: int | None = None) -> list[str]:
        """Event partitions without a recent report from a worker, or with another lag than this."""
        state, now = self.state(), now_ms()
        held = state.partitions
        states = {
            partition: held.get(partition)
            for topic in state.feeds
            for partition in (Partition(topic, number) for number in range(self.settings.partitions))
        }
        return [
            str(partition)
            for partition, state in states.items()
            if state is None or now - (state.heartbeat_ms or 0) > 3_000 or (lag is not None and state.lag != lag)
        ]

    def _until(self, within_s: float, what: str, condition: Callable[[], bool]) -> None:
        def checked() -> bool:
            for server in (*self.workers, self.serve):
                assert server.running, f"{server.name} exited unexpectedly"
            with contextlib.suppress(*AWAY):
                return bool(condition())
            return False

        try:
            eventually(checked, within_s=within_s, every_s=0.1, what=what)
        except AssertionError as error:
            with contextlib.suppress(*AWAY):
                error.add_note(f"not counted: {self._uncounted()}; unassigned: {self._unattended(lag=0)}")
            for server in (*self.workers, self.serve):
                error.add_note("\n".join([f"{server.name}:", *tail(server.log_path)]))
            raise

    def close(self) -> None:
        """Stop the processes in order, so that they leave their consumer group, which others may delete."""
        self._hands.shutdown()
        with ThreadPoolExecutor(8) as hands:
            list(hands.map(lambda server: server.stop(grace_s=10), [*self.workers, self.serve]))


@contextlib.contextmanager
def stack(
    broker: Server,
    store: Store,
    *,
    workers: int = 1,
    partitions: int = 4,
    compact_every_s: float = 5,
    serve_clock: str = "",
    **changes: object,
) -> Iterator[Shop]:
    """Topics, workers and an API on the event clock, keeping all panes. `changes`: other settings.

    `serve_clock`: the error of the server's machine's clock, such as `-10m`.
    """
    chosen = {"clock": Clock.EVENT, "retain": "all", "partitions": partitions, "http_port": free_port(), **changes}
    settings = Settings(bootstrap=broker.bootstrap, redis_url=store.url, **chosen)
    asyncio.run(create_topics(settings.kafka, default_plans(partitions, settings.topic_names)))
    with temporary_data_dir() as folder, contextlib.ExitStack() as ending:
        shop = Shop(broker, store, settings, folder, compact_every_s, serve_clock)
        ending.callback(shop.close)
        shop.serve.spawn()
        for _ in range(workers):
            shop.start_worker()
        shop.serve.wait_ready()
        yield shop


def environment(settings: Settings) -> Mapping[str, str]:
    """The settings as environment variables."""
    plain = settings.model_dump(mode="json") | {"redis_url": settings.redis_url.get_secret_value()}
    if settings.metrics_port is None:
        plain["metrics_port"] = 0  # several workers and other tests share this machine
    return {"PYTHONPATH": str(REPOSITORY)} | {
        f"SALEPULSE_{name.upper()}": "" if value is None else str(value) for name, value in plain.items()
    }
