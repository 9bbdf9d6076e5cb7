"""How bytes come in: the event contract, batch decoding, the Kafka transport, de-duplication and dead letters."""
