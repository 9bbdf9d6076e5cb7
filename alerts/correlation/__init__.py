"""Correlation: which findings form one incident, and which alert is its root."""
