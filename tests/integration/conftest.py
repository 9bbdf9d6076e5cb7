"""What the integration tests share."""

from tests.support.seed import rng

__all__ = ["rng"]
