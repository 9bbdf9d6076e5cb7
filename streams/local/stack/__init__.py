"""A supervised stack on one machine: broker, Redis, topics, workers and servers."""
