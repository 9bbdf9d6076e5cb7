"""Kafka: connections, topics, the consumer, the producer, and the batch transport for Faust."""
