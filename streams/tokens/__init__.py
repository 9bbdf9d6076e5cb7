"""Tokens of the API: who may ask, and who may do what; only their hashes are kept."""
