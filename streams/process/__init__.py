"""What every process shares: logs, memory limits, shutdown."""
