"""Injected incidents: their kinds and their grammar.

    KIND@START/DURATION[:NAME=VALUE,...]

START is `+` and a time since the run's start, or an epoch ms; DURATION is a time. A time is a number with a unit: `ms`,
`s`, `m`, `h`, or `%` of the run. Example: `conversion_drop@+120s/60s:size=0.5,channel=app`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from streams.simulate.columns import SimulatedEventType
from streams.simulate.config import SimulationConfig, SimulationError

SESSION = ("channel", "region", "variant", "campaign", "live_room", "member")
"""Dimensions of a session and its orders."""
SOURCES = {"clicks": "collector", "orders": "oms", "logistics": "wms"}
"""<topic: name of its producers, before `-0`, `-1`, …>"""
CLICK_TYPES = tuple(kind.type for kind in SimulatedEventType if kind.topic == "clicks")


@dataclass(frozen=True, slots=True)
class IncidentKind:
    """A kind of incident with its parameters and expected effects."""

    changes: str
    expect: tuple[tuple[str, str], ...]
    """(KPI, effect), with the placeholders `{size}` and `{left}` (1 − size)."""
    size: float | None = None
    """Default of `size`; None: no such parameter."""
    size_max: float = 1.0
    dimensions: tuple[str, ...] = ()
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """<parameter: allowed values>; the first is the default, empty: any value"""
    alert: bool = True
    """False: a real change of demand, which is no reason to page."""


KINDS: dict[str, IncidentKind] = {
    "conversion_drop": IncidentKind(
        "share {size} of sessions is lost at the stage",
        size=0.5,
        size_max=1.0,
        dimensions=(*SESSION, "category", "sku"),
        options={"stage": ("order", "cart", "checkout")},
        expect=(("conversion_rate", "x {left}"), ("orders_created", "x {left}"), ("gmv", "x {left}")),
    ),
    "payment_failures": IncidentKind(
        "share {size} of successful payments fails",
        size=0.5,
        size_max=1.0,
        dimensions=SESSION,
        expect=(("payment_failure_rate", "up"), ("payment_rate", "down"), ("gmv", "down")),
    ),
    "order_stop": IncidentKind(
        "no event on `orders`: new orders are lost; payments, cancellations and refunds follow after the end",
        dimensions=SESSION,
        expect=(("orders_created", "0"), ("orders_paid", "0"), ("gmv", "0")),
    ),
    "click_stop": IncidentKind(
        "share {size} of click events is lost; orders continue",
        size=1.0,
        size_max=1.0,
        dimensions=SESSION,
        options={"type": ()},
        expect=(("visitors", "x {left}"), ("page_views", "x {left}"), ("conversion_rate", "up")),
    ),
    "stockout": IncidentKind(
        "stock is written off at the start (stock_adjusted) and received again at the end",
        dimensions=("sku",),
        options={"top": ()},
        expect=(("stock_available", "<= 0"), ("stockout_skus", "up"), ("oversold_units", "up")),
    ),
    "producer_silent": IncidentKind(
        "events are dropped, or sent at the end with mode=delay",
        options={"topic": ("orders", "clicks", "logistics"), "source": (), "mode": ("drop", "delay")},
        expect=(("events_total", "0 for the producer"),),
    ),
    "refund_surge": IncidentKind(
        "share {size} of paid orders is cancelled and refunded about a minute later",
        size=0.2,
        size_max=1.0,
        dimensions=SESSION,
        expect=(("refund_rate", "+ {size}"), ("cancellation_rate", "up"), ("net_gmv", "down")),
    ),
    "ship_delay": IncidentKind(
        "share {size} of due dispatches is delayed until the end, with shipment_delayed",
        size=1.0,
        size_max=1.0,
        dimensions=("region", "warehouse"),
        expect=(("dispatched", "x {left}"), ("delayed", "up"), ("unshipped_orders", "up"), ("ship_hours", "up later")),
    ),
    "price_error": IncidentKind(
        "unit prices are {size} times the right price",
        size=0.1,
        size_max=100.0,
        dimensions=("sku", "category"),
        expect=(("aov", "x {size} of these lines"), ("gmv", "x {size} of these lines")),
    ),
    "traffic_surge": IncidentKind(
        "{size} times as many sessions",
        size=3.0,
        size_max=50.0,
        expect=(("visitors", "x {size}"), ("gmv", "x {size}"), ("conversion_rate", "unchanged")),
        alert=False,
    ),
    "traffic_drop": IncidentKind(
        "share {size} of sessions is missing",
        size=0.5,
        size_max=1.0,
        expect=(("visitors", "x {left}"), ("gmv", "x {left}"), ("conversion_rate", "unchanged")),
    ),
}


UNITS_MS = {"ms": 1.0, "s": 1000.0, "m": 60_000.0, "h": 3_600_000.0}
_SPEC = re.compile(r"(?P<kind>\w+)@(?P<start>\+?[\d.]+[a-z%]*)/(?P<duration>[\d.]+[a-z%]+)(?::(?P<rest>.+))?")
_FORM = "KIND@+START/DURATION[:NAME=VALUE,...], e.g. conversion_drop@+120s/60s:size=0.5,channel=app"


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident during `[start_ms, end_ms)` of event time."""

    index: int
    spec: str
    kind: str
    start_ms: int
    end_ms: int
    size: float
    """Meaning by kind; 1 for kinds without size."""
    where: tuple[tuple[str, int], ...]
    """(dimension, code) that it is limited to; empty: none."""
    labels: tuple[tuple[str, str], ...]
    """(dimension, label) of `where`."""
    options: tuple[tuple[str, str], ...]

    def option(self, name: str) -> str | None:
        """Value of an option; None if not given and without default."""
        return dict(self.options).get(name)


def parse(spec: str, index: int, config: SimulationConfig) -> Incident:
    """Parse a spec. Raises SimulationError with the fix."""
    match = _SPEC.fullmatch(spec.strip())
    if match is None:
        raise SimulationError(f"incident {spec!r}: expected {_FORM}")
    name = match["kind"]
    if name not in KINDS:
        raise SimulationError(f"incident {spec!r}: unknown kind {name!r}; use one of {', '.join(KINDS)}")
    kind = KINDS[name]
    start = match["start"]
    start_ms = config.start_ms + _ms(spec, start[1:], config) if start[0] == "+" else _epoch(spec, start)
    end_ms = start_ms + _ms(spec, match["duration"], config)
    if not config.start_ms <= start_ms < end_ms or start_ms >= config.end_ms:
        raise SimulationError(f"incident {spec!r}: it must start within the run ({config.duration_s:g} s) and last > 0")
    size, where, labels, options = 1.0 if kind.size is None else kind.size, [], [], _defaults(kind)
    for key, value in _pairs(spec, match["rest"]):
        if key == "size" and kind.size is not None:
            size = _size(spec, value, kind)
        elif key in kind.dimensions:
            where.append((key, _code(spec, key, value, config)))
            labels.append((key, value))
        elif key in kind.options:
            options[key] = _choice(spec, key, value, kind)
        else:
            known = [*(["size"] if kind.size is not None else []), *kind.dimensions, *kind.options]
            raise SimulationError(f"incident {spec!r}: {name} takes no {key!r}; it takes {', '.join(known)}")
    if name == "producer_silent":
        _check_source(spec, options, config)
    return Incident(index, spec, name, start_ms, end_ms, size, tuple(where), tuple(labels), tuple(options.items()))


def dimension_labels(dimension: str, config: SimulationConfig) -> list[str]:
    """Labels of a dimension by code; code 0 of campaign and live_room means none."""
    if dimension == "member":
        return ["false", "true"]
    return {
        "channel": [label for label, _ in config.channels],
        "region": [label for label, _ in config.regions],
        "variant": [label for label, _ in config.variants],
        "campaign": ["", *config.campaigns],
        "live_room": ["", *config.live_rooms],
        "category": list(config.categories),
        "warehouse": list(config.warehouses),
    }[dimension]


def sku_name(index: int) -> str:
    """Id of a product by popularity: s-00001 is the best-seller."""
    return f"s-{index + 1:05d}"


def _code(spec: str, dimension: str, value: str, config: SimulationConfig) -> int:
    if dimension == "sku":
        digits = value.removeprefix("s-")
        if digits.isdecimal() and 1 <= int(digits) <= config.skus and sku_name(int(digits) - 1) == value:
            return int(digits) - 1
        raise SimulationError(f"incident {spec!r}: no sku {value!r}; there are s-00001 to {sku_name(config.skus - 1)}")
    labels = dimension_labels(dimension, config)
    if not value or value not in labels:
        known = ", ".join(label for label in labels if label)
        raise SimulationError(f"incident {spec!r}: no {dimension} {value!r}; there are {known}")
    return labels.index(value)


def _pairs(spec: str, rest: str | None) -> list[tuple[str, str]]:
    pairs = [part.partition("=") for part in rest.split(",")] if rest else []
    if bad := [key for key, equals, value in pairs if not (equals and value)]:
        raise SimulationError(f"incident {spec!r}: {bad[0]!r} needs a value, NAME=VALUE")
    names = [key for key, _, _ in pairs]
    if doubled := [name for name in names if names.count(name) > 1]:
        raise SimulationError(f"incident {spec!r}: {doubled[0]!r} is given twice")
    return [(key, value) for key, _, value in pairs]


def _ms(spec: str, text: str, config: SimulationConfig) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|%)", text)
    if match is None:
        raise SimulationError(
            f"incident {spec!r}: {text!r} is not a duration; write one such as 500ms, 90s, 2m, 1h or 25%"
        )
    number, unit = float(match[1]), match[2]
    return round(number * (config.duration_ms / 100 if unit == "%" else UNITS_MS[unit]))


def _epoch(spec: str, text: str) -> int:
    if not text.isdecimal():
        raise SimulationError(f"incident {spec!r}: {text!r} is not epoch ms; write +{text} for a time after the start")
    return int(text)


def _size(spec: str, text: str, kind: IncidentKind) -> float:
    try:
        size = float(text)
    except ValueError:
        size = float("nan")
    if not 0 < size <= kind.size_max:
        raise SimulationError(f"incident {spec!r}: size={text} must be a number > 0 and <= {kind.size_max:g}")
    return size


def _choice(spec: str, key: str, value: str, kind: IncidentKind) -> str:
    allowed = kind.options[key]
    if allowed and value not in allowed:
        raise SimulationError(f"incident {spec!r}: {key}={value} is none of {', '.join(allowed)}")
    if key == "type" and value not in CLICK_TYPES:
        raise SimulationError(f"incident {spec!r}: type={value} is none of {', '.join(CLICK_TYPES)}")
    if key == "top" and not (value.isdecimal() and int(value) > 0):
        raise SimulationError(f"incident {spec!r}: top={value} must be a whole number > 0")
    return value


def _check_source(spec: str, options: Mapping[str, str], config: SimulationConfig) -> None:
    """Check that the source is a producer of the topic."""
    topic, source = options["topic"], options.get("source")
    name, count = SOURCES[topic], len(config.warehouses) if topic == "logistics" else config.producers
    known = [f"{name}-{i}" for i in range(count)]
    if source is not None and source not in known:
        raise SimulationError(f"incident {spec!r}: no source {source!r} writes {topic}; there are {', '.join(known)}")


def _defaults(kind: IncidentKind) -> dict[str, str]:
    return {name: values[0] for name, values in kind.options.items() if values}
