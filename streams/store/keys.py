"""Names of keys in Redis. All keys of a partition share a hash tag, so that one script may access them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from consumers.topics import Partition, Topic

ALERTS_NAME = "alerts-"
"""Prefix of the ids of `salepulse alerts` among the worker ids."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Key names under one prefix.

    | key | type | holds |
    | --- | --- | --- |
    | `prefix:{n}:state` | hash | per partition: position, batch id, newest event, compacted position, heartbeat |
    | `prefix:{n}:log:topic/p` | stream | deltas in the order applied, id = the position after it |
    | `prefix:{n}:ids:topic/p` | stream | hashes of the event ids applied since the last compaction |
    | `prefix:{n}:rolled-ids:topic/p` | stream | hashes of earlier event ids, joined |
    | `prefix:{n}:pane:level:start` | hash | field `topic/p:…`: a part of the block, of that partition |
    | `prefix:{n}:blocks:level` | sorted set | starts of the existing blocks |
    | `prefix:{n}:orders:bucket` | hash | field: the rest of an order id's hash; value: the order's record |
    | `prefix:{n}:totals` | hash | counts: `events,topic,type` `rejected,topic,reason` `duplicates,topic` … |
    | `prefix:{0}:reports` | hash | field id of a worker or alerts process: its last report, JSON |
    | `prefix:{0}:promotions` | hash | field promotion_id: its definition, JSON |
    | `prefix:{0}:evaluated` | string | last evaluation of the alert rules, epoch ms |
    | `prefix:{0}:awaiting-events` | string | last time that there was no as-of to evaluate the rules at, epoch ms |
    | `prefix:{0}:setup` | string | what all workers must have alike: the model and the sources, JSON |
    | `prefix:{n}:probe` | none | never exists: `SET` with `XX` on it probes whether writes are accepted |
    | `prefix:{0}:kept` | string | spans of minutes retained for years, and the limit of expiry elsewhere, JSON |
    """

    prefix: str
    shards: int

    def shard(self, partition: Partition) -> int:
        """The shard of a partition.

        Partitions of `orders`, `logistics` and sources with the same number share one; `promotions` is in shard 0,
        with the definitions.
        """
        if partition.topic is Topic.PROMOTIONS:
            return 0
        alone = partition.topic is Topic.CLICKS or partition.topic is Topic.ORDERS
        shared = partition if alone else Partition(Topic.ORDERS, partition.number)
        return zlib.crc32(str(shared).encode()) % self.shards

    def state(self, shard: int) -> str:
        """State of the partitions of a shard."""
        return f"{self._tag(shard)}:state"

    def log(self, partition: Partition) -> str:
        """Deltas that are not compacted."""
        return f"{self._tag(self.shard(partition))}:log:{partition}"

    def ids(self, partition: Partition) -> str:
        """Event ids since the last compaction."""
        return f"{self._tag(self.shard(partition))}:ids:{partition}"

    def compacted_ids(self, partition: Partition) -> str:
        """Earlier event ids."""
        return f"{self._tag(self.shard(partition))}:rolled-ids:{partition}"

    def totals(self, shard: int) -> str:
        """Counts of a shard."""
        return f"{self._tag(shard)}:totals"

    def buckets(self, shard: int) -> str:
        """Common prefix of the keys of order buckets."""
        return f"{self._tag(shard)}:orders"

    def orders(self, shard: int, bucket: int) -> str:
        """Order records of a bucket."""
        return f"{self.buckets(shard)}:{bucket:x}"

    @property
    def reports(self) -> str:
        """Reports of processes."""
        return f"{self._tag(0)}:reports"

    def block(self, shard: int, level: str, start_s: int) -> str:
        """One block."""
        return f"{self._tag(shard)}:pane:{level}:{start_s}"

    def blocks(self, shard: int, level: str) -> str:
        """Starts of the existing blocks of a level."""
        return f"{self._tag(shard)}:blocks:{level}"

    @property
    def promotions(self) -> str:
        """Definitions of promotions."""
        return f"{self._tag(0)}:promotions"

    @property
    def evaluated(self) -> str:
        """Time of the last evaluation of the alert rules."""
        return f"{self._tag(0)}:evaluated"

    @property
    def awaiting_events(self) -> str:
        """Last time that there was no as-of to evaluate the alert rules at."""
        return f"{self._tag(0)}:awaiting-events"

    @property
    def retained_spans(self) -> str:
        """Spans of minutes that are retained for years."""
        return f"{self._tag(0)}:kept"

    @property
    def setup(self) -> str:
        """What all workers must have alike."""
        return f"{self._tag(0)}:setup"

    def probe(self, shard: int) -> str:
        """A key that never exists."""
        return f"{self._tag(shard)}:probe"

    @property
    def silences(self) -> str:
        """Silences and acknowledgements; read-only users may write here, too."""
        return f"{self._tag(0)}:alerts:silences"

    def _tag(self, shard: int) -> str:
        return f"{self.prefix}:{{{shard}}}"
