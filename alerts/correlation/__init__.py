"""Correlation: which findings are one incident, what inhibits which, and where an incident began."""
