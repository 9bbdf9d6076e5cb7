"""A real Redis Cluster: nodes on free ports with equal shares of the slots and append-only files.

with redis_cluster() as cluster:
    cluster.url, cluster.nodes[1].kill()
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from redis import Redis
from redis.cluster import RedisCluster
from redis.crc import key_slot

from streams.local.embedded.ports import free_port
from tests.support.servers import Server, redis_server
from tests.support.wait import eventually

SLOTS = 16_384
NODE_TIMEOUT_MS = 1000
"""Time after which nodes declare another one dead."""


@dataclass(frozen=True)
class Cluster:
    """The nodes of a cluster."""

    nodes: Sequence[Server]

    @property
    def url(self) -> str:
        """URL of the first node."""
        return self.nodes[0].url

    @property
    def client(self) -> RedisCluster:
        """A client for the test itself."""
        return RedisCluster.from_url(self.url)

    def keys(self) -> list[int]:
        """The number of keys of each node."""
        return [int(self.ask(node, "DBSIZE")) for node in self.nodes]

    def ask(self, node: Server, *words: str | int | bytes) -> object:
        """The response of one node."""
        with Redis.from_url(node.url) as client:
            return client.execute_command(*words)  # type: ignore[no-untyped-call]

    def empty(self) -> None:
        """Delete all keys and scripts."""
        for node in self.nodes:
            self.ask(node, "FLUSHALL")
            self.ask(node, "SCRIPT", "FLUSH")

    def until_healthy(self) -> None:
        """Wait until every node reports that all slots are served."""
        for node in self.nodes:
            eventually(partial(self._is_healthy, node), within_s=20, what=f"{node.address} reports a healthy cluster")

    def _is_healthy(self, node: Server) -> bool:
        text = str(self.ask(node, "CLUSTER", "INFO"))
        return "cluster_state:ok" in text and f"cluster_known_nodes:{len(self.nodes)}" in text

    def replicate(self, primary: Server, replica: Server) -> None:
        """Make an idle node the replica of another, and wait until it is synchronized."""
        self.ask(replica, "CLUSTER", "REPLICATE", _text(self.ask(primary, "CLUSTER", "MYID")))
        with Redis.from_url(primary.url) as client:

            def level() -> bool:
                text = client.info("replication")
                held = text.get("slave0", {})
                return held.get("state") == "online" and held["offset"] == text["master_repl_offset"]  # type: ignore[no-any-return]

            eventually(level, within_s=20, what=f"{replica.address} has all of {primary.address}")

    # Moving a slot ---------------------------------------------------------------------------------------------------

    def begin_move(self, tag: str, to: Server) -> SlotMove:
        """Start the migration of a slot: the source redirects requests for missing keys."""
        slot = key_slot(tag.encode())
        owner = next(node for node in self.nodes if self._holds(node, slot))
        names = {node.address: str(_text(self.ask(node, "CLUSTER", "MYID"))) for node in (owner, to)}
        self.ask(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", names[owner.address])
        self.ask(owner, "CLUSTER", "SETSLOT", slot, "MIGRATING", names[to.address])
        return SlotMove(self, slot, owner, to, names[to.address])

    def _holds(self, node: Server, slot: int) -> bool:
        mine = _text(self.ask(node, "CLUSTER", "MYID"))
        line = next(line for line in _text(self.ask(node, "CLUSTER", "NODES")).splitlines() if line.startswith(mine))
        spans = (span.partition("-") for span in line.split()[8:] if not span.startswith("["))
        return any(int(first) <= slot <= int(last or first) for first, _, last in spans)


@dataclass(frozen=True)
class SlotMove:
    """A slot in migration."""

    cluster: Cluster
    slot: int
    owner: Server
    to: Server
    to_name: str

    def move_keys(self, most: int = 10_000) -> int:
        """Move keys; returns their number."""
        with Redis.from_url(self.owner.url) as client:
            held = client.execute_command("CLUSTER", "GETKEYSINSLOT", self.slot, most)  # type: ignore[no-untyped-call]
            if held:
                client.migrate(self.to.host, self.to.port, held, 0, 5000)  # type: ignore[no-untyped-call]
        return len(held)

    def finish(self) -> None:
        """Move the remaining keys and end the migration."""
        while self.move_keys():
            pass
        for node in (self.to, self.owner, *self.cluster.nodes):
            self.cluster.ask(node, "CLUSTER", "SETSLOT", self.slot, "NODE", self.to_name)


@contextlib.contextmanager
def redis_cluster(
    *options: str, holding: int = 3, idle: int = 0, tls: Callable[[], Sequence[str]] = tuple
) -> Iterator[Cluster]:
    """A cluster of `holding` nodes that share the slots, and `idle` ones without slots.

    `options`: further command line options; `tls`: options of each node.
    """
    with contextlib.ExitStack() as ending:
        cluster = Cluster([ending.enter_context(_node(*options, *tls())) for _ in range(holding + idle)])
        for number, node in enumerate(cluster.nodes):
            cluster.ask(node, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number < holding:
                first, end = SLOTS * number // holding, SLOTS * (number + 1) // holding
                cluster.ask(node, "CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        met, *others = cluster.nodes
        bus = _text(Redis.from_url(met.url).config_get("cluster-port")["cluster-port"])  # type: ignore[index]
        for node in others:
            cluster.ask(node, "CLUSTER", "MEET", met.host, met.port, bus)
        cluster.until_healthy()
        yield cluster


@contextlib.contextmanager
def _node(*options: str) -> Iterator[Server]:
    clustered = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    patience = ("--cluster-node-timeout", str(NODE_TIMEOUT_MS))
    with redis_server(*clustered, *patience, *options, aof=True) as node:
        yield node


def _text(answer: object) -> str:
    return answer.decode() if isinstance(answer, bytes) else str(answer)
