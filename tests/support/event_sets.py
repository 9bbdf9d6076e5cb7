"""The events that tests replay, with their expected answers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.generated_shops import GENERATED_SUBSTITUTES, write_generated_shop
from tests.support.generated_shops import NAMES as GENERATED

REQUIRE_ALL = "SALEPULSE_REQUIRE_ALL"
"""If 1, no test may be skipped."""
SHARED_DATA = Path(__file__).parents[2].parent / "shared" / "data"
"""Recorded shops whose licence keeps them out of the repository."""


class EventSets:
    """Folders of events with their expected answers: `olist` and `taobao` are recorded shops beside the repository,
    `browsed` and `shipped` are generated.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: dict[str, Path] = {}

    def __getitem__(self, name: str) -> Path:
        """The folder of an event set; skips the test if a recorded shop is absent."""
        if name in GENERATED:
            if name not in self._written:
                self._written[name] = write_generated_shop(name, self._folder)
            return self._written[name]
        if not SHARED_DATA.is_dir():
            pytest.skip(f"the recorded shop {name} is absent: put its events into ../shared/data beside the repository")
        return SHARED_DATA / name

    def at_hand(self, name: str) -> Path:
        """The recorded shop, or if it is absent its generated substitute."""
        return self[name if SHARED_DATA.is_dir() or os.environ.get(REQUIRE_ALL) == "1" else GENERATED_SUBSTITUTES[name]]
