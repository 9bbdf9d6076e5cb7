"""The worker: reads batches from Kafka and writes panes to Redis.

Faust provides consumer groups, rebalances, agents and timers. `OwnedPartition` and the fence in Redis decide which
records count. Offsets committed to Kafka only serve tools that watch lag.
"""
