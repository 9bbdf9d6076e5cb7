"""The broker and the Redis that salepulse starts by itself on one machine, and the supervisor of the processes.

For demos, laptops and tests. In production Kafka and Redis are given, and each role is started by its own supervisor.
"""
