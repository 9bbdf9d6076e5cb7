"""The HTTP API of alerts: routes, schemas, silences."""
