"""Alerts in Redis: one leader writes each evaluation in one script call."""
