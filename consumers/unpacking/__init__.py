"""Decodes Kafka's record batches into records, in bounded memory for any input."""
