"""How people write numbers in a rule file: `90s`, `15%`, `50_000`."""

from __future__ import annotations

import re
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, Field

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")


def parse_seconds(written: object) -> object:
    """`90s`, `1.5m`, `2h`, `1d` as seconds; whatever else is left for the model to refuse."""
    match = _DURATION.fullmatch(written.strip()) if isinstance(written, str) else None
    if match:
        return float(match[1]) * _SECONDS[match[2]]
    if isinstance(written, str):
        raise ValueError(f"{written!r} is no time: write a number with its unit, such as 90s, 15m, 2h or 1d")
    return written


def parse_share(written: object) -> object:
    """`15%` as 0.15; a plain number stays what it is."""
    match = _SHARE.fullmatch(written.strip()) if isinstance(written, str) else None
    return float(match[1]) / 100 if match else written


Seconds: TypeAlias = Annotated[float, Field(ge=0), BeforeValidator(parse_seconds)]
"""A stretch of time, written with its unit."""
Share: TypeAlias = Annotated[float, Field(gt=0), BeforeValidator(parse_share)]
"""A part of something, written as `15%` or 0.15."""
Number: TypeAlias = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(parse_share)]
"""A threshold, in the KPI's own unit (money: minor units); ratios may be written as `15%`."""
