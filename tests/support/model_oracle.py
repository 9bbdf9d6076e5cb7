"""The expected answers of a shop's own model, computed simply and slowly: every question scans all events.

Written from the contract's words about models alone; shares no code with the product. Sums are Python integers,
formulas are fractions, quantiles are taken from sorted lists, distinct counts from sets: compare with
`assert_model_agrees`, which allows only the tolerances of the contract.
"""

from __future__ import annotations

import ast
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from functools import cache, cached_property
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from tests.support.model_contract import (
    BUILT_IN,
    EVENT_FIELDS,
    FLAGS,
    ITEM_FIELDS,
    MONEY,
    OF_LINES,
    TOPIC_OF,
    TYPES,
    ZERO_WITHOUT_FIELD,
)
from tests.support.oracle import Oracle, PromotionPeriod

Event = Mapping[str, Any]
Answer = int | Fraction | None

QUANTILES = {"p50": Fraction(1, 2), "p90": Fraction(9, 10), "p95": Fraction(19, 20), "p99": Fraction(99, 100)}
KINDS = ("count", "sum", "distinct", "min", "max", "quantiles")
_MINUTE_MS = 60_000
_LONGEST_LABEL = 128


@dataclass
class ModelOracle:
    """A model and all events, each once."""

    model: str
    """The YAML of the file."""
    clicks: Sequence[Event] = ()
    orders: Sequence[Event] = ()
    logistics: Sequence[Event] = ()
    exponent: int = 2
    timezone: str = "UTC"
    promotions: Mapping[str, PromotionPeriod] = field(default_factory=dict)
    since: Mapping[str, int] = field(default_factory=dict)
    """Event time from which measures are counted."""
    scopes_since: Mapping[str, int] = field(default_factory=dict)
    """Event time from which dimensions are counted."""

    def __post_init__(self) -> None:
        built_in, own = _built_in(), yaml.safe_load(self.model)
        self.own_fields: Mapping[str, Mapping[str, str]] = own.get("fields") or {}
        sections = ("dimensions", "measures", "metrics")
        self.dimensions, self.measures, self.metrics = (
            {entry["name"]: entry for entry in (*built_in[section], *(own.get(section) or ()))} for section in sections
        )
        self.built_in_scopes = {entry["name"] for entry in built_in["dimensions"]}
        self._spans = Oracle(promotions=self.promotions, timezone=self.timezone)

    @cached_property
    def events(self) -> Mapping[str, Sequence[Event]]:
        """# <topic: its events>, absent labels removed"""
        by_topic = {"clicks": self.clicks, "orders": self.orders, "logistics": self.logistics}
        return {topic: [_with_labels(event) for event in events] for topic, events in by_topic.items()}

    def ask(
        self, window: str, as_of_ms: int, scope: str = "all", value: str = "", *, promotion: str | None = None
    ) -> dict[str, Answer]:
        """Every number of one value of a scope."""
        start, end = self._spans._span(window, as_of_ms, scope, value, promotion)
        answers: dict[str, Answer] = {}
        for name, measure in self.measures.items():
            answers |= self._answers(name, measure, window, (start, end), scope, value)
        for name in self.metrics:
            absent = scope not in self.metrics[name].get("scopes", [scope])
            answers[name] = None if absent else self._computed(name, answers)
        return answers

    def values(self, window: str, as_of_ms: int, scope: str, *, promotion: str | None = None) -> set[str]:
        """The values of a scope with any public counter that is not 0."""
        found = {
            value for topic, events in self.events.items() for event in events
            for value in self._groups(topic, event, scope)
        }  # fmt: skip
        counters = [name for name, measure in self.measures.items() if _kind(measure) in ("count", "sum")]
        answers = {value: self.ask(window, as_of_ms, scope, value, promotion=promotion) for value in found}
        return {value for value in found if any(answers[value][name] for name in counters)}

    # Dimensions ------------------------------------------------------------------------------------------------------

    def topics_of(self, scope: str) -> set[str]:
        """The topics whose events can have a value."""
        dimension = self.dimensions[scope]
        if "cross" in dimension:
            return set.intersection(*(self.topics_of(part) for part in dimension["cross"]))
        name = dimension.get("field") or dimension.get("bands")
        return {topic for topic in TYPES if name is None or self._has(topic, name)}

    def is_by_line(self, topic: str, scope: str) -> bool:
        """Whether the lines of an order have the values, not the order."""
        dimension = self.dimensions[scope]
        if "cross" in dimension:
            return any(self.is_by_line(topic, part) for part in dimension["cross"])
        name = dimension.get("field") or dimension.get("bands")
        return topic == "orders" and name in ITEM_FIELDS and not self._is_of_event(topic, str(name))

    def _is_of_event(self, topic: str, name: str) -> bool:
        return name in EVENT_FIELDS[topic] or name in self.own_fields.get(topic, {})

    def _has(self, topic: str, name: str) -> bool:
        return self._is_of_event(topic, name) or (topic == "orders" and name in ITEM_FIELDS)

    def _groups(self, topic: str, event: Event, scope: str) -> dict[str, Sequence[Event] | None]:
        """# <value that the event counts in: its lines there; None: the whole event>"""
        if topic not in self.topics_of(scope):
            return {}
        if not self.is_by_line(topic, scope):
            value = self._value(topic, event, None, scope)
            return {} if value is None else {value: None}
        groups: dict[str, list[Event]] = defaultdict(list)
        for line in event["items"]:
            value = self._value(topic, event, line, scope)
            if value is not None:
                groups[value].append(line)
        return dict(groups)

    def _value(self, topic: str, event: Event, line: Event | None, scope: str) -> str | None:
        """The value of an event, or of a line of it; None if it has none."""
        dimension = self.dimensions[scope]
        if "cross" in dimension:
            parts = [self._value(topic, event, line, part) for part in dimension["cross"]]
            return None if None in parts else "|".join(str(part).replace("|", r"\|") for part in parts)
        if "clock" in dimension:
            return str(datetime.fromtimestamp(event["ts"] / 1000, ZoneInfo(self.timezone)).hour)
        name = dimension.get("field") or dimension.get("bands")
        if name is None:
            return ""
        found = self._number(event, name) if self._is_of_event(topic, name) else (line or {}).get(name)
        if found is None or "bands" not in dimension:
            return None if found is None else _text(found)
        edges = [self._stored(topic, name, edge) for edge in dimension["edges"]]
        below = [label for edge, label in zip(edges, dimension["labels"], strict=True) if edge <= found]
        return str(below[-1]) if below else None

    def _stored(self, topic: str, name: str, number: object) -> Fraction:
        """A number of the file in the units of events."""
        own = self.own_fields.get(topic, {}).get(name)
        is_money = own == "money" if own else name in MONEY
        return Fraction(Decimal(str(number))) * (10**self.exponent if is_money else 1)

    @staticmethod
    def _number(event: Event, name: str, lines: Sequence[Event] | None = None) -> Any:
        """A field of an event; of what an order's lines share, the part of some `lines`."""
        if "items" in event and name in OF_LINES:
            if name == "units":
                return sum(line["qty"] for line in (event["items"] if lines is None else lines))
            if name == "amount":
                return _amount(event) if lines is None else _worth(lines)
            return event.get("refund_amount") if lines is None else _refund(event, lines)
        return event.get(name)

    # Measures --------------------------------------------------------------------------------------------------------

    def exists(self, name: str, scope: str) -> bool:
        """Whether a measure has values in a scope."""
        measure = self.measures[name]
        topic, kind = _topic(measure), _kind(measure)
        if name in ZERO_WITHOUT_FIELD and scope in self.built_in_scopes:
            return True
        if topic not in self.topics_of(scope):
            return False
        if "scopes" in measure:
            return scope in measure["scopes"]
        if kind == "distinct":
            return scope == "all" or bool(self.dimensions[scope].get("distincts"))
        if kind == "count" or not self.is_by_line(topic, scope):
            return True
        return measure[kind] in OF_LINES or not self._is_of_event(topic, measure[kind])

    def _answers(
        self, name: str, measure: Mapping[str, Any], window: str, span: tuple[int, int], scope: str, value: str
    ) -> dict[str, Answer]:
        kind = _kind(measure)
        names = [f"{name}_{q}" for q in QUANTILES] if kind == "quantiles" else [name]
        start, end = self._span_of(kind, window, span, scope) or (0, -1)
        since = max(self.since.get(name, 0), self.scopes_since.get(scope, 0))
        if not self.exists(name, scope) or end < start or since > start:
            return dict.fromkeys(names)
        numbers = self._numbers(measure, start, end, scope, value)
        match kind:
            case "count" | "sum":
                return {name: sum(numbers)}
            case "distinct":
                return {name: len(set(numbers))}
            case "min" | "max":
                return {name: (min if kind == "min" else max)(numbers, default=None)}
        ordered = sorted(numbers)
        return {
            f"{name}_{q}": ordered[math.floor(at * (len(ordered) - 1))] if ordered else None
            for q, at in QUANTILES.items()
        }

    def _span_of(self, kind: str, window: str, span: tuple[int, int], scope: str) -> tuple[int, int] | None:
        """[start, end) of the events; None if the window has no such number."""
        start, end = span
        if kind in ("min", "max"):  # whole minutes of the window
            begin, until = -(-start // _MINUTE_MS) * _MINUTE_MS, end - end % _MINUTE_MS
            return (begin, until) if begin < until else None
        if kind != "distinct" or start == end:
            return span
        if self._is_coarse(scope):
            return None if window in ("1m", "5m", "15m") else (start - start % 600_000, end - end % 600_000)
        step = {"1m": 10_000, "5m": 10_000, "15m": 10_000, "1h": _MINUTE_MS}.get(window, 600_000)
        return start - start % step, end - end % 10_000

    def _is_coarse(self, scope: str) -> bool:
        dimension = self.dimensions[scope]
        parts = dimension.get("cross")
        return any(map(self._is_coarse, parts)) if parts else dimension.get("field") == "sku"

    def _numbers(self, measure: Mapping[str, Any], start: int, end: int, scope: str, value: str) -> list[Any]:
        """What the events of a value contribute."""
        topic, types, kind = _topic(measure), _types(measure), _kind(measure)
        numbers: list[Any] = []
        for event in self.events[topic]:
            if not start <= event["ts"] < end or event["type"] not in types or not self._fits(topic, event, measure):
                continue
            groups = self._groups(topic, event, scope)
            if value not in groups:
                continue
            if kind == "count":
                numbers += [1] if measure.get("with") is None or event.get(measure["with"]) is not None else []
            elif self._is_of_event(topic, measure[kind]):
                found = self._number(event, measure[kind], groups[value])
                numbers += [] if found is None else [found]
            else:
                lines = event["items"] if groups[value] is None else groups[value]
                numbers += [line[measure[kind]] for line in lines or () if line.get(measure[kind]) is not None]
        return numbers

    def _fits(self, topic: str, event: Event, measure: Mapping[str, Any]) -> bool:
        return all(self._holds(topic, event, name, test) for name, test in (measure.get("where") or {}).items())

    def _holds(self, topic: str, event: Event, name: str, test: Any) -> bool:
        negated = isinstance(test, dict) and "not" in test
        wanted = test["not" if negated else "one_of"] if isinstance(test, dict) else test
        wanted = wanted if isinstance(wanted, list) else [wanted]
        if not self._is_of_event(topic, name):
            found: Any = self._value(topic, event, None, name)
        else:
            found = self._number(event, name)
            if found is None and (name in FLAGS or self.own_fields.get(topic, {}).get(name) == "flag"):
                found = False
        if isinstance(found, int) and not isinstance(found, bool):
            return (Fraction(found) in [self._stored(topic, name, number) for number in wanted]) != negated
        return (("" if found is None else _text(found)) in map(_text, wanted)) != negated

    # Metrics ---------------------------------------------------------------------------------------------------------

    def _computed(self, name: str, answers: Mapping[str, Answer]) -> Answer:
        text = self.metrics[name]["formula"]
        try:
            return self._evaluated(ast.parse(text, mode="eval").body, text, answers)
        except ZeroDivisionError:
            return None

    def _evaluated(self, node: ast.expr, text: str, answers: Mapping[str, Answer]) -> Fraction | None:
        match node:
            case ast.Constant():
                return Fraction(Decimal(ast.get_source_segment(text, node) or ""))
            case ast.Name(id=name):
                number = self._computed(name, answers) if name in self.metrics else answers[name]
                return None if number is None else Fraction(number)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                operand_value = self._evaluated(operand, text, answers)
                return None if operand_value is None else -operand_value
            case ast.BinOp(left=left, op=operation, right=right):
                a, b = self._evaluated(left, text, answers), self._evaluated(right, text, answers)
                if a is None or b is None:
                    return None
                match operation:
                    case ast.Add():
                        return a + b
                    case ast.Sub():
                        return a - b
                    case ast.Mult():
                        return a * b
                    case ast.Div():
                        return a / b
        raise ValueError(f"no formula: {text}")


def assert_model_agrees(
    oracle: ModelOracle, got: Mapping[str, float | None], expected: Mapping[str, Answer], *context: object
) -> None:
    """Assert that every number of the oracle is equal, within the tolerances of the contract.

    Distinct counts: 2 %, or 1; quantiles: 1 %; a formula is compared with the same formula of the answers it got.
    """
    wrong = {}
    exact_inputs = {name: None if found is None else Fraction(found) for name, found in got.items()}
    for name, number in expected.items():
        found, exact, slack = got[name], number, _slack(oracle, name, number)
        if name in oracle.metrics and number is not None:
            exact = oracle._computed(name, exact_inputs)
            slack = 1e-12 * abs(float(exact or 0))
        if (found is None) != (exact is None) or (
            found is not None and exact is not None and abs(Fraction(found) - exact) > slack
        ):
            wrong[name] = {"got": found, "expected": number}
    assert not wrong, (*context, wrong)


def _slack(oracle: ModelOracle, name: str, number: Answer) -> float:
    if number is None or name in oracle.metrics:
        return 0
    measure = oracle.measures.get(name) or oracle.measures[name.rpartition("_")[0]]
    match _kind(measure):
        case "distinct":
            return max(1.0, 0.02 * float(number))
        case "quantiles":
            return 0.01 * float(number)
    return 0


@cache
def _built_in() -> dict[str, Any]:
    return dict(yaml.safe_load(BUILT_IN))


def _kind(measure: Mapping[str, Any]) -> str:
    return next(kind for kind in KINDS if kind in measure)


def _types(measure: Mapping[str, Any]) -> Sequence[str]:
    given = measure["count"] if _kind(measure) == "count" else measure["of"]
    names = [given] if isinstance(given, str) else given
    return [event_type for name in names for event_type in TYPES.get(name, [name])]


def _topic(measure: Mapping[str, Any]) -> str:
    return TOPIC_OF[_types(measure)[0]]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _with_labels(event: Event) -> Event:
    """The event without labels that are empty or too long: they are absent."""

    def kept(fields: Event) -> dict[str, Any]:
        return {
            name: value
            for name, value in fields.items()
            if value is not None and not (isinstance(value, str) and not 0 < len(value) <= _LONGEST_LABEL)
        }

    cleaned = kept(event)
    if "items" in cleaned:
        cleaned["items"] = [kept(line) for line in cleaned["items"]]
    return cleaned


def _worth(lines: Iterable[Event]) -> int:
    return sum(line["qty"] * line["unit_price"] for line in lines)


def _amount(order: Event) -> int:
    fee: int = order.get("shipping_fee", 0)
    return fee + _worth(order["items"]) - int(order.get("discount", 0))


def _refund(order: Event, lines: Iterable[Event]) -> int | None:
    """The share of some lines in a refund: by worth, each line's rounded half up."""
    if order.get("refund_amount") is None:
        return None
    total = _worth(order["items"])
    if not total:
        return 0
    return sum(math.floor(Fraction(order["refund_amount"] * _worth([line]), total) + Fraction(1, 2)) for line in lines)
