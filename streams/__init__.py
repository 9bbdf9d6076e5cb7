"""Computes KPIs: panes and windows, the Redis store, the read side, HTTP, metrics and the command line."""
