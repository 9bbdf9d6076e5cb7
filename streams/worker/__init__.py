"""The worker: carries batches from Kafka to the panes in Redis.

Faust gives consumer groups, rebalances, agents and timers; what counts, and up to where, is decided by `PartitionWork`
and the fence in Redis. Kafka's committed offsets are kept near the truth for tools that watch lag, and are never relied
upon.
"""

from streams.worker.worker import Worker

__all__ = ["Worker"]
