"""Ingest: the event contract, batch decoding, the Kafka transport, deduplication and dead letters."""
