"""Panes: counters, scopes, rows, cells and sketches of spans of event time."""
