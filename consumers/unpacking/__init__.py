"""From the bytes that Kafka stores to records, with bounded memory, whatever the bytes are."""
