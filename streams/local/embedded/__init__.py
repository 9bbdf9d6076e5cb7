"""The embedded broker and Redis, and the supervisor of child processes.

For demos, laptops and tests. In production use your own Kafka, Redis and process supervisor.
"""
