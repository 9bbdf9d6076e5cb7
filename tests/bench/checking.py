"""Check that counts equal the events sent."""

from __future__ import annotations

from collections.abc import Mapping


def wrong_totals(found: Mapping[str, int], expected: Mapping[str, int]) -> list[str]:
    """Totals of Redis that are not what was produced: everything counted, once, and nothing else."""
    return [
        f"{name}: {found.get(name, 0):,}, expected {expected.get(name, 0):,}"
        for name in sorted({*found, *expected})
        if found.get(name, 0) != expected.get(name, 0)
    ]
