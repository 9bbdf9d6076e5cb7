"""The expected answers of recorded shops: reads `expected.json` beside the events, and compares.

The file has the tolerances: `approximate` names the estimates and theirs, everything else is exact (floats to a
relative 1e-9).
"""

from __future__ import annotations

import gzip
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from consumers.topics import EVENT_TOPICS
from streams.model.kpis import Number

RELATIVE = 1e-9

Values = Mapping[str, Number]


@dataclass(frozen=True, slots=True)
class Query:
    """A query about a recorded shop, and its answers by value of the scope."""

    moment: str
    as_of: int
    window: str
    scope: str
    value: str | None
    """None to query every value of the scope."""
    promotion: str | None
    answers: Mapping[str, Values]

    def __str__(self) -> str:
        return f"{self.moment} {self.window} {self.scope}={'*' if self.value is None else self.value}"


class Api(Protocol):
    """An API that answers queries."""

    def ask(self, queries: Sequence[Query]) -> list[Mapping[str, Values]]:
        """The answers of each query, by value of the scope."""


@dataclass(frozen=True, slots=True)
class Expected:
    """The expected answers once every event is counted."""

    folder: Path
    timezone: str
    """The time zone of `day`."""
    queries: list[Query]
    _tolerances: Mapping[str, tuple[float, float]]
    """# <name: (relative error, absolute error)>; the larger one applies."""

    @classmethod
    def read(cls, folder: Path) -> Expected:
        """The answers beside a recording."""
        return cls.of(folder, json.loads((folder / "expected.json").read_bytes()))

    @classmethod
    def of(cls, folder: Path, stated: Mapping[str, Any]) -> Expected:
        """The answers in the form of `expected.json`."""
        assert stated["contract"] == 1
        near = stated["approximate"]
        tolerances = dict.fromkeys(near["names"], (near["relative_error"], near["or_absolute_error"]))
        tolerances |= {name: (error, 0.0) for name, error in near["derived"].items()}
        zones = {query["timezone"] for query in stated["queries"] if query.get("timezone")}
        assert len(zones) == 1, "a server has one time zone"
        return cls(folder, zones.pop(), [_query(query) for query in stated["queries"]], tolerances)

    def differences(self, api: Api) -> Iterator[str]:
        """Unexpected answers, one line per number."""
        for query, answers in zip(self.queries, api.ask(self.queries), strict=True):
            if answers.keys() != query.answers.keys():
                yield f"{query}: values {sorted(answers)} instead of {sorted(query.answers)}"
                continue
            for value, numbers in query.answers.items():
                for name in numbers:
                    if name not in answers[value]:
                        yield f"{query} {value}: there is no {name}"
                    elif not self._near(name, answers[value][name], numbers[name]):
                        yield f"{query} {value}: {name} is {answers[value][name]} instead of {numbers[name]}"

    def _near(self, name: str, got: Number, right: Number) -> bool:
        if got is None or right is None:
            return got is right
        relative, absolute = self._tolerances.get(name, (0.0 if isinstance(right, int) else RELATIVE, 0.0))
        return math.isclose(got, right, rel_tol=0, abs_tol=max(relative * abs(right), absolute))


def check(api: Api, expected: Expected) -> None:
    """Assert that every answer is as expected."""
    differences = list(expected.differences(api))
    shown = "\n".join(differences[:20])
    assert not differences, f"{len(differences)} numbers of {expected.folder.name} differ, such as:\n{shown}"


def recorded_totals(folder: Path) -> dict[str, int]:
    """The expected totals of a counted recording: events by type."""
    totals: Counter[str] = Counter()
    for topic in EVENT_TOPICS:
        path = folder / f"{topic}.ndjson.gz"
        if path.exists():
            with gzip.open(path) as lines:
                totals.update(f"events,{topic},{msgspec.json.decode(line, type=_Typed).type}" for line in lines)
    return dict(totals)


class _Typed(msgspec.Struct):
    type: str


def _query(stated: Mapping[str, Any]) -> Query:
    value = None if "items" in stated else stated["value"] or ""
    items = stated["items"] if value is None else [{"value": value, "values": stated["values"]}]
    answers = {item["value"]: item["values"] for item in items}
    place = (stated[name] for name in ("moment", "as_of", "window", "scope"))
    return Query(*place, value, stated.get("promotion"), answers)
