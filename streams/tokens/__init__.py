"""API tokens with scopes, stored as hashes."""
