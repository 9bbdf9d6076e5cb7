"""What an evaluation leaves to the next, as bytes that survive a kill.

Memories are dataclasses of arrays, numbers, text, lists and dictionaries: they are written down field by field, so that
what is read back says the same. What another version wrote is not read: the evaluation then begins anew, from the last
hour of panes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any, TypeAlias

import msgspec
import numpy as np

from alerts.correlation.cases import VerdictMemory
from alerts.detection.health import FactMemory
from alerts.detection.rates import RateMemory
from alerts.detection.revenue import Takings
from alerts.detection.series import Places
from alerts.detection.silence import QuietMemory
from alerts.detection.thresholds import NumberMemory
from alerts.detectors.baseline import Baseline
from alerts.detectors.delays import Chain, Lag
from alerts.detectors.evidence import Evidence
from alerts.detectors.sequential import Followed
from alerts.detectors.silence import Silences
from alerts.detectors.weeks import Weeks
from alerts.findings import Series, Severity

VERSION = 3
RuleMemory: TypeAlias = RateMemory | QuietMemory | NumberMemory | FactMemory


@dataclass(slots=True)
class Memory:
    """All rules' memory. `evaluate` uses it up: go on with the one that it returns."""

    until_s: int | None = None
    """Panes are taken in up to here; None: none yet."""
    rules: dict[str, RuleMemory] = field(default_factory=dict)
    """# rule's name"""
    made_for: dict[str, str] = field(default_factory=dict)
    """# rule's name: what its memory was made for"""
    shop: Takings = field(default_factory=Takings)
    verdicts: VerdictMemory = field(default_factory=VerdictMemory)


_KEPT: Mapping[str, type] = {
    kind.__name__: kind
    for kind in (
        *(Memory, RateMemory, QuietMemory, NumberMemory, FactMemory, VerdictMemory, Takings, Places, Series),
        *(Followed, Lag, Chain, Baseline, Evidence, Silences, Weeks),
    )
}


def to_bytes(memory: Memory) -> bytes:
    """The memory, written down."""
    return msgspec.msgpack.encode([VERSION, _written(memory)])


def from_bytes(kept: bytes) -> Memory | None:
    """The memory; None where it is of another version, or damaged."""
    try:
        version, held = msgspec.msgpack.decode(kept)
        memory = _read(held) if version == VERSION else None
    except (msgspec.DecodeError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return memory if isinstance(memory, Memory) else None


def _written(value: Any) -> Any:
    if isinstance(value, Enum):
        return {"~": "severity", "v": value.value}
    if isinstance(value, np.ndarray):
        return {"~": "array", "t": value.dtype.str, "s": list(value.shape), "v": np.ascontiguousarray(value).tobytes()}
    if is_dataclass(value):
        held = {one.name: _written(getattr(value, one.name)) for one in fields(value)}
        return {"~": type(value).__name__, "v": held}
    if isinstance(value, tuple):
        return {"~": "tuple", "v": [_written(one) for one in value]}
    if isinstance(value, set):
        return {"~": "set", "v": [_written(one) for one in sorted(value)]}
    if isinstance(value, list):
        return [_written(one) for one in value]
    if isinstance(value, dict):
        return {"~": "dict", "v": [[_written(name), _written(one)] for name, one in value.items()]}
    if isinstance(value, np.generic):
        return value.item()
    return value


def _read(kept: Any) -> Any:
    if isinstance(kept, list):
        return [_read(one) for one in kept]
    if not isinstance(kept, dict):
        return kept
    held = kept["v"]
    match kept["~"]:
        case "severity":
            return Severity(held)
        case "array":
            return np.frombuffer(held, np.dtype(kept["t"])).reshape(kept["s"]).copy()
        case "tuple":
            return tuple(_read(one) for one in held)
        case "set":
            return {_read(one) for one in held}
        case "dict":
            return {_read(name): _read(one) for name, one in held}
        case name:
            return _KEPT[name](**{field_name: _read(one) for field_name, one in held.items()})
