"""Replay a sale against the rules at full speed: each page, its time, and whether it was right."""
