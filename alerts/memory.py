"""The state that each evaluation hands to the next one, and its serialization.

Memories are dataclasses of arrays, numbers, text, lists and dictionaries, serialized field by field. Memory of an
unknown version is discarded: the evaluation then learns from the last hour of panes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any, TypeAlias

import msgspec
import numpy as np

from alerts.correlation.extents import Extent
from alerts.correlation.memory import ActiveIncident, CorrelationMemory, DataFault
from alerts.detection.detector import RevenueRate
from alerts.detection.health import HealthMemory
from alerts.detection.sequential import SequentialMemory
from alerts.detection.series import SeriesIndex
from alerts.detection.shares import ShareMemory
from alerts.detection.silence import SilenceMemory
from alerts.detection.stock import StockMemory
from alerts.detection.thresholds import ThresholdMemory
from alerts.findings import Series, Severity
from alerts.statistics.arrears import Arrears
from alerts.statistics.baseline import Baseline
from alerts.statistics.batches import BatchAllowance
from alerts.statistics.delays import Chain, Lag
from alerts.statistics.evidence import Evidence
from alerts.statistics.limits import WeeklyHistory
from alerts.statistics.sequential import SequentialState
from alerts.statistics.shares import ShareState
from alerts.statistics.silence import SilenceState

VERSION = 7
_FORMER_VERSIONS = range(3, VERSION)
_DISCARDED_MEMORIES = {
    "SequentialMemory",
    "RateMemory",
    "SilenceMemory",
    "QuietMemory",
    "ShareMemory",
    "HealthMemory",
    "FactMemory",
}
"""Discarded from earlier versions. What counters show is learned again from the last hour; a data fault that still
lasted then would prevent that."""
RuleMemory: TypeAlias = SequentialMemory | SilenceMemory | ShareMemory | StockMemory | ThresholdMemory | HealthMemory


@dataclass(slots=True)
class EvaluationMemory:
    """The memory of all rules. `evaluate` consumes it and returns its successor."""

    evaluated_until_s: int | None = None
    """End of the last evaluated pane; None: none yet."""
    rules: dict[str, RuleMemory] = field(default_factory=dict)
    """# rule: its memory"""
    signatures: dict[str, str] = field(default_factory=dict)
    """# rule: signature of the detector that filled its memory"""
    revenue: RevenueRate = field(default_factory=RevenueRate)
    correlation: CorrelationMemory = field(default_factory=CorrelationMemory)

    def rules_at_limit(self) -> frozenset[str]:
        """Rules that watch the maximum number of series, and no others."""
        return frozenset(
            name
            for name, memory in self.rules.items()
            if not isinstance(memory, HealthMemory) and memory.places.is_full
        )


_STORED_TYPES: Mapping[str, type] = {
    "EvaluationMemory": EvaluationMemory,
    "SequentialMemory": SequentialMemory,
    "SilenceMemory": SilenceMemory,
    "ShareMemory": ShareMemory,
    "StockMemory": StockMemory,
    "ThresholdMemory": ThresholdMemory,
    "HealthMemory": HealthMemory,
    "CorrelationMemory": CorrelationMemory,
    "ActiveIncident": ActiveIncident,
    "DataFault": DataFault,
    "Extent": Extent,
    "RevenueRate": RevenueRate,
    "SeriesIndex": SeriesIndex,
    "Series": Series,
    "SequentialState": SequentialState,
    "Lag": Lag,
    "Chain": Chain,
    "Baseline": Baseline,
    "Evidence": Evidence,
    "Arrears": Arrears,
    "Crowds": BatchAllowance,
    "SilenceState": SilenceState,
    "ShareState": ShareState,
    "WeeklyHistory": WeeklyHistory,
}
_STORED_NAMES = {kind: name for name, kind in _STORED_TYPES.items()}
_FORMER_TYPES = {
    "Memory": "EvaluationMemory",
    "RateMemory": "SequentialMemory",
    "QuietMemory": "SilenceMemory",
    "NumberMemory": "ThresholdMemory",
    "FactMemory": "HealthMemory",
    "Takings": "RevenueRate",
    "Places": "SeriesIndex",
    "Followed": "SequentialState",
    "Silences": "SilenceState",
    "Weeks": "WeeklyHistory",
}
_FORMER_FIELDS = {
    "Memory": {
        "until_s": "evaluated_until_s",
        "made_for": "signatures",
        "shop": "revenue",
        "verdicts": "correlation",
    },
    "RateMemory": {"followed": "state", "named": "explaining_part"},
    "NumberMemory": {"wrong": "breached", "judged": "evaluable", "judged_ms": "evaluable_ms"},
    "ThresholdMemory": {"wrong": "breached", "judged": "evaluable", "judged_ms": "evaluable_ms"},
}
"""{class in an earlier version: {former field: current field}}"""


def to_bytes(memory: EvaluationMemory) -> bytes:
    """Serialize the memory."""
    return msgspec.msgpack.encode([VERSION, _to_plain(memory)])


def from_bytes(data: bytes) -> EvaluationMemory | None:
    """Deserialize a memory of this version or one since 3; None if it is of another version or damaged."""
    try:
        version, plain = msgspec.msgpack.decode(data)
        if version in _FORMER_VERSIONS:
            plain = _without_counters(plain)
        memory = _from_plain(plain) if version in (*_FORMER_VERSIONS, VERSION) else None
    except (msgspec.DecodeError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return memory if isinstance(memory, EvaluationMemory) else None


def _without_counters(plain: Any) -> Any:
    """A serialized memory without what was learned from counters."""
    values = {_FORMER_FIELDS["Memory"].get(name, name): value for name, value in plain["v"].items()}
    rules = [entry for entry in values["rules"]["v"] if entry[1]["~"] not in _DISCARDED_MEMORIES]
    names = [entry[0] for entry in rules]
    values["rules"] = {"~": "dict", "v": rules}
    values["signatures"] = {"~": "dict", "v": [entry for entry in values["signatures"]["v"] if entry[0] in names]}
    return {"~": "EvaluationMemory", "v": values | {"evaluated_until_s": None, "revenue": _to_plain(RevenueRate())}}


def _to_plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return {"~": "severity", "v": value.value}
    if isinstance(value, np.ndarray):
        return {"~": "array", "t": value.dtype.str, "s": list(value.shape), "v": np.ascontiguousarray(value).tobytes()}
    if is_dataclass(value):
        values = {item.name: _to_plain(getattr(value, item.name)) for item in fields(value)}
        return {"~": _STORED_NAMES[type(value)], "v": values}
    if isinstance(value, tuple):
        return {"~": "tuple", "v": [_to_plain(item) for item in value]}
    if isinstance(value, set):
        return {"~": "set", "v": [_to_plain(item) for item in sorted(value)]}
    if isinstance(value, list):
        return [_to_plain(item) for item in value]
    if isinstance(value, dict):
        return {"~": "dict", "v": [[_to_plain(name), _to_plain(item)] for name, item in value.items()]}
    if isinstance(value, np.generic):
        return value.item()
    return value


def _from_plain(plain: Any) -> Any:
    if isinstance(plain, list):
        return [_from_plain(item) for item in plain]
    if not isinstance(plain, dict):
        return plain
    stored = plain["v"]
    kind: str = plain["~"]
    match kind:
        case "severity":
            return Severity(stored)
        case "array":
            return np.frombuffer(stored, np.dtype(plain["t"])).reshape(plain["s"]).copy()
        case "tuple":
            return tuple(_from_plain(item) for item in stored)
        case "set":
            return {_from_plain(item) for item in stored}
        case "dict":
            return {_from_plain(name): _from_plain(item) for name, item in stored}
        case _:
            if kind == "VerdictMemory" or (kind == "CorrelationMemory" and "roots" not in stored):
                return _former_correlation(stored)
            former = _FORMER_FIELDS.get(kind, {})
            values = {former.get(field_name, field_name): _from_plain(item) for field_name, item in stored.items()}
            return _STORED_TYPES[_FORMER_TYPES.get(kind, kind)](**values)


def _former_correlation(stored: Mapping[str, Any]) -> CorrelationMemory:
    """The correlation memory of an earlier version: only what was reported."""
    if "told" in stored or "reported" in stored:  # versions 3 and 4
        return CorrelationMemory(reported=_from_plain(stored.get("told", stored.get("reported"))))
    reported = ((_from_plain(name), _from_plain(memory["v"]["reported"])) for name, memory in stored["series"]["v"])
    return CorrelationMemory(reported={series: severity for series, severity in reported if severity is not None})
