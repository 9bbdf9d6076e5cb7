"""Combinations of parameters with the two brokers."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import pytest
from _pytest.mark import ParameterSet

_BROKERS = (("embedded", ()), ("apache", (pytest.mark.kafka,)))


def on_alternate_brokers(*cases: tuple[Any, ...]) -> list[ParameterSet]:
    """Parameters of each case, after that of the fixture `broker`; each is on one broker, and with `--full` on both.

    For facts that depend on the broker or on the case, and not on which of them meet.
    """
    return [
        pytest.param(broker, *case, marks=(*marks, *more))
        for case, (first, second) in zip(cases, cycle((_BROKERS, _BROKERS[::-1])), strict=False)
        for (broker, marks), more in ((first, ()), (second, (pytest.mark.full,)))
    ]
