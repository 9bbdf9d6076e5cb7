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

from alerts.correlation.candidates import CorrelationMemory
from alerts.detection.health import HealthMemory
from alerts.detection.revenue import RevenueRate
from alerts.detection.sequential import SequentialMemory
from alerts.detection.series import SeriesIndex
from alerts.detection.silence import SilenceMemory
from alerts.detection.thresholds import ThresholdMemory
from alerts.detectors.baseline import Baseline
from alerts.detectors.delays import Chain, Lag
from alerts.detectors.evidence import Evidence
from alerts.detectors.sequential import SequentialState
from alerts.detectors.silence import SilenceState
from alerts.detectors.weeks import WeeklyHistory
from alerts.findings import Series, Severity

VERSION = 3
RuleMemory: TypeAlias = SequentialMemory | SilenceMemory | ThresholdMemory | HealthMemory


@dataclass(slots=True)
class EvaluationMemory:
    """All rules' memory. `evaluate` uses it up: go on with the one that it returns."""

    evaluated_until_s: int | None = None
    """Panes are taken in up to here; None: none yet."""
    rules: dict[str, RuleMemory] = field(default_factory=dict)
    """# rule's name"""
    signatures: dict[str, str] = field(default_factory=dict)
    """# rule's name: what its memory was made for"""
    revenue: RevenueRate = field(default_factory=RevenueRate)
    correlation: CorrelationMemory = field(default_factory=CorrelationMemory)


_STORED_TYPES: Mapping[str, type] = {
    kind.__name__: kind
    for kind in (
        *(
            EvaluationMemory,
            SequentialMemory,
            SilenceMemory,
            ThresholdMemory,
            HealthMemory,
            CorrelationMemory,
            RevenueRate,
            SeriesIndex,
            Series,
        ),
        *(SequentialState, Lag, Chain, Baseline, Evidence, SilenceState, WeeklyHistory),
    )
}


def to_bytes(memory: EvaluationMemory) -> bytes:
    """The memory, written down."""
    return msgspec.msgpack.encode([VERSION, _to_plain(memory)])


def from_bytes(kept: bytes) -> EvaluationMemory | None:
    """The memory; None where it is of another version, or damaged."""
    try:
        version, held = msgspec.msgpack.decode(kept)
        memory = _from_plain(held) if version == VERSION else None
    except (msgspec.DecodeError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return memory if isinstance(memory, EvaluationMemory) else None


def _to_plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return {"~": "severity", "v": value.value}
    if isinstance(value, np.ndarray):
        return {"~": "array", "t": value.dtype.str, "s": list(value.shape), "v": np.ascontiguousarray(value).tobytes()}
    if is_dataclass(value):
        held = {one.name: _to_plain(getattr(value, one.name)) for one in fields(value)}
        return {"~": type(value).__name__, "v": held}
    if isinstance(value, tuple):
        return {"~": "tuple", "v": [_to_plain(one) for one in value]}
    if isinstance(value, set):
        return {"~": "set", "v": [_to_plain(one) for one in sorted(value)]}
    if isinstance(value, list):
        return [_to_plain(one) for one in value]
    if isinstance(value, dict):
        return {"~": "dict", "v": [[_to_plain(name), _to_plain(one)] for name, one in value.items()]}
    if isinstance(value, np.generic):
        return value.item()
    return value


def _from_plain(kept: Any) -> Any:
    if isinstance(kept, list):
        return [_from_plain(one) for one in kept]
    if not isinstance(kept, dict):
        return kept
    held = kept["v"]
    match kept["~"]:
        case "severity":
            return Severity(held)
        case "array":
            return np.frombuffer(held, np.dtype(kept["t"])).reshape(kept["s"]).copy()
        case "tuple":
            return tuple(_from_plain(one) for one in held)
        case "set":
            return {_from_plain(one) for one in held}
        case "dict":
            return {_from_plain(name): _from_plain(one) for name, one in held}
        case name:
            return _STORED_TYPES[name](**{field_name: _from_plain(one) for field_name, one in held.items()})
