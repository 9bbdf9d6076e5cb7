"""Common parts of every process: logs, memory tuning, /metrics, startup checks and shutdown."""
