"""Names of keys in Redis. All of a partition's keys share one hash tag, so one script call may touch them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from consumers.topics import Partition, Topic

ALERTS_NAME = "alerts-"
"""How the names of `salepulse alerts` begin, which says among the workers that it is there."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Key names under one prefix.

    | key | type | holds |
    | --- | --- | --- |
    | `prefix:{n}:state` | hash | of each partition: position, its batch, newest event, what is rolled, worker's word |
    | `prefix:{n}:log:topic/p` | stream | deltas in the order they were applied, id = the position after it |
    | `prefix:{n}:ids:topic/p` | stream | hashes of the event ids that were applied and not rolled yet |
    | `prefix:{n}:rolled-ids:topic/p` | stream | hashes of the event ids before those, many in an entry |
    | `prefix:{n}:pane:level:start` | hash | field `topic/p:…`: a part of the block, of that partition |
    | `prefix:{n}:blocks:level` | sorted set | starts of the blocks there are |
    | `prefix:{n}:orders:bucket` | hash | field: the rest of an order id's hash; what is known of that order |
    | `prefix:{n}:totals` | hash | how many, ever: `events,topic,type` `rejected,topic,reason` `duplicates,topic` … |
    | `prefix:{0}:workers` | hash | field worker id: time and its own metrics, Prometheus text |
    | `prefix:{0}:promotions` | hash | field promotion_id: its definition, JSON |
    | `prefix:{0}:evaluated` | string | when the rules of alerts were last evaluated, epoch ms |
    | `prefix:{0}:awaiting-events` | string | when there was last no as-of to evaluate them at, epoch ms |
    | `prefix:{n}:probe` | none | is never there: `SET` with `XX` on it asks whether writes are taken |
    | `prefix:{0}:kept` | string | minutes that are kept for years, and up to where others may be gone, JSON |
    """

    prefix: str
    shards: int

    def shard(self, partition: Partition) -> int:
        """The shard that a partition lives in.

        Partitions of `orders` and `logistics` with one number share one; `promotions` is where the definitions are.
        """
        if partition.topic is Topic.PROMOTIONS:
            return 0
        shared = Partition(Topic.ORDERS, partition.number) if partition.topic is Topic.LOGISTICS else partition
        return zlib.crc32(str(shared).encode()) % self.shards

    def state(self, shard: int) -> str:
        return f"{self._tag(shard)}:state"

    def log(self, partition: Partition) -> str:
        return f"{self._tag(self.shard(partition))}:log:{partition}"

    def ids(self, partition: Partition) -> str:
        return f"{self._tag(self.shard(partition))}:ids:{partition}"

    def compacted_ids(self, partition: Partition) -> str:
        return f"{self._tag(self.shard(partition))}:rolled-ids:{partition}"

    def totals(self, shard: int) -> str:
        return f"{self._tag(shard)}:totals"

    def buckets(self, shard: int) -> str:
        """What the names of all buckets of orders begin with."""
        return f"{self._tag(shard)}:orders"

    def orders(self, shard: int, bucket: int) -> str:
        return f"{self.buckets(shard)}:{bucket:x}"

    @property
    def workers(self) -> str:
        return f"{self._tag(0)}:workers"

    def pane(self, shard: int, level: str, start_s: int) -> str:
        return f"{self._tag(shard)}:pane:{level}:{start_s}"

    def blocks(self, shard: int, level: str) -> str:
        return f"{self._tag(shard)}:blocks:{level}"

    @property
    def promotions(self) -> str:
        return f"{self._tag(0)}:promotions"

    @property
    def evaluated(self) -> str:
        return f"{self._tag(0)}:evaluated"

    @property
    def awaiting_events(self) -> str:
        return f"{self._tag(0)}:awaiting-events"

    @property
    def kept(self) -> str:
        return f"{self._tag(0)}:kept"

    def probe(self, shard: int) -> str:
        """A key that is never there."""
        return f"{self._tag(shard)}:probe"

    @property
    def silences(self) -> str:
        """What people said of alerts: whoever only reads may write there, too."""
        return f"{self._tag(0)}:alerts:silences"

    def _tag(self, shard: int) -> str:
        return f"{self.prefix}:{{{shard}}}"
