"""Numbers in rule files: `90s`, `15%`, `50_000`."""

from __future__ import annotations

import re
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, Field

from consumers.times import parse_duration

_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")


def parse_share(written: object) -> object:
    """`15%` as 0.15; other values unchanged."""
    match = _SHARE.fullmatch(written.strip()) if isinstance(written, str) else None
    return float(match[1]) / 100 if match else written


def _seconds(written: object) -> object:
    return parse_duration(written) if isinstance(written, str) else written


Seconds: TypeAlias = Annotated[float, Field(ge=0), BeforeValidator(_seconds)]
"""A duration with its unit."""
Share: TypeAlias = Annotated[float, Field(gt=0), BeforeValidator(parse_share)]
"""A share, as `15%` or 0.15."""
Number: TypeAlias = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(parse_share)]
"""A threshold in the KPI's unit (money: minor units); a ratio may be `15%`."""
