"""Panes: counters, scopes, rows, cells and sketches of a stretch of event time."""
