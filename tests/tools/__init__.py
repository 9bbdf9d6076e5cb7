"""Tools run by hand: `python -m tests.tools.NAME`."""
