"""Fixtures of the integration tests."""

from tests.support.seed import rng

__all__ = ["rng"]
