"""Random models, as text of their file, and random events for them, equal for equal seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import yaml

from tests.support.events import T0
from tests.support.model_contract import TYPES
from tests.support.model_oracle import Event, ModelOracle

OWN_TYPES = {
    "store": "label", "bank": "label", "gift": "flag", "express": "flag", "stamps": "count", "tip": "money",
    "wait_ms": "milliseconds",
}  # fmt: skip
LABELS = ("app", "web", "a|b", "c\\", "é", "x" * 128, "x" * 129, "", None)
NUMBERS = (0, 1, 99, 100, 101, 1_000, 30_050, 10**9)
_LABEL_FIELDS: Mapping[str, Sequence[str]] = {
    "clicks": ("channel", "region", "category", "sku", "device", "app_version", "page"),
    "orders": ("channel", "region", "device", "payment_type", "category", "sku"),
    "logistics": ("region", "category", "carrier"),
}
_NUMBER_FIELDS: Mapping[str, Sequence[str]] = {
    "clicks": ("dwell_ms", "load_ms", "cost"),
    "orders": ("amount", "units", "refund", "discount", "shipping_fee", "unit_price", "qty", "cost"),
    "logistics": ("qty",),
}
_BANDED = ("unit_price", "amount", "dwell_ms", "discount")
_CROSSABLE = ("channel", "region", "category", "member", "sku")


def random_model(rng: Random) -> str:
    """The text of a valid file: own fields, dimensions and measures of every kind, and formulas."""
    fields = {
        topic: {name: type_ for name, type_ in OWN_TYPES.items() if rng.random() < 0.4}
        for topic in TYPES if rng.random() < 0.8
    }  # fmt: skip
    made: dict[str, Any] = {"version": 1, "fields": fields, "dimensions": [], "measures": [], "metrics": []}
    for i in range(rng.randrange(6)):
        made["dimensions"].append({"name": f"d{i}", **_dimension(rng, made)})
    for i in range(rng.randrange(1, 8)):
        made["measures"].append({"name": f"m{i}", **_measure(rng, made)})
    names = ["gmv", "orders_paid", "units", "net_gmv"]
    for measure in made["measures"]:
        names += [f"{measure['name']}_p95"] if "quantiles" in measure else [measure["name"]]
    for i in range(rng.randrange(5)):
        made["metrics"].append({"name": f"f{i}", "formula": f"{rng.choice(names)} + {_formula(rng, names, 3)}"})
        names.append(f"f{i}")
    return yaml.safe_dump(made, sort_keys=False, allow_unicode=True)


def _own(made: Mapping[str, Any], topic: str, *types: str) -> list[str]:
    return [name for name, type_ in made["fields"].get(topic, {}).items() if type_ in types]


def _dimension(rng: Random, made: Mapping[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {"distincts": True} if rng.random() < 0.3 else {}
    match rng.randrange(4):
        case 0:
            names = [name for topic in TYPES for name in (*_LABEL_FIELDS[topic], *_own(made, topic, "label", "flag"))]
            return {"field": rng.choice(names), **options}
        case 1:
            own = [name for topic in TYPES for name in _own(made, topic, "money", "count", "milliseconds")]
            edges = sorted(rng.sample([0, 1, 50, 100, 300], rng.randrange(1, 5)))
            return {"bands": rng.choice([*_BANDED, *own]), "edges": edges, "labels": [f"b{edge}" for edge in edges]}
        case 2:
            return {"clock": "hour", **options}
    oracle = ModelOracle(yaml.safe_dump(dict(made)))
    parts = [*_CROSSABLE, *(entry["name"] for entry in made["dimensions"] if "cross" not in entry)]
    chosen = rng.sample(parts, rng.randrange(2, 5))
    common = set.intersection(*(oracle.topics_of(part) for part in chosen))
    return {"cross": chosen if common else ["channel", "region"], **options}


def _measure(rng: Random, made: Mapping[str, Any]) -> dict[str, Any]:
    topic = rng.choice(list(TYPES))
    types = rng.choice([topic, rng.choice(TYPES[topic]), rng.sample(TYPES[topic], 2)])
    kind = rng.choice(["count", "sum", "distinct", "min", "max", "quantiles"])
    made_: dict[str, Any] = {"count": types}
    if kind == "distinct":
        labels = [name for name in _LABEL_FIELDS[topic] if topic != "orders" or name not in ("category", "sku")]
        made_ = {kind: rng.choice([*labels, *_own(made, topic, "label")]), "of": types}
    elif kind != "count":
        made_ = {kind: rng.choice([*_NUMBER_FIELDS[topic], *_own(made, topic, "money", "count")]), "of": types}
    elif (with_ := _own(made, topic, *set(OWN_TYPES.values()))) and rng.random() < 0.3:
        made_["with"] = rng.choice(with_)
    where = {name: _condition(rng, name) for name in _chosen(rng, ("channel", "region", "member"), topic)}
    where |= {name: _condition(rng, name) for name in _own(made, topic, "label", "flag") if rng.random() < 0.2}
    if where:
        made_["where"] = where
    if rng.random() < 0.3:
        entry = {"name": "probe", **made_}
        oracle = ModelOracle(yaml.safe_dump({**made, "measures": [entry]}))
        fit = [scope for scope in oracle.dimensions if scope != "all" and oracle.exists("probe", scope)]
        made_["scopes"] = ["all", *rng.sample(fit, min(2, len(fit)))]
    return made_


def _chosen(rng: Random, names: Sequence[str], topic: str) -> list[str]:
    on_topic = [name for name in names if topic != "logistics" or name == "region"]
    return [name for name in on_topic if rng.random() < 0.2]


def _condition(rng: Random, name: str) -> Any:
    if name in ("member", "gift", "express"):
        return rng.random() < 0.5
    values = rng.sample(["app", "web", "a|b", "", "none"], rng.randrange(1, 3))
    return {"not": values} if rng.random() < 0.3 else rng.choice([values, values[0]])


def _formula(rng: Random, names: Sequence[str], depth: int) -> str:
    if not depth or rng.random() < 0.3:
        return rng.choice([*names, "2", "0.5", "100", "3"])
    left, right = (_formula(rng, names, depth - 1) for _ in range(2))
    return rng.choice([f"({left} {rng.choice('+-*/')} {right})", f"-{left}"])


def random_events(rng: Random, model: str, n: int = 60, seconds: int = 600) -> dict[str, list[Event]]:
    """# <topic: events in a span of `seconds` after `T0`> with the fields of the contract and of a model's file"""
    own = yaml.safe_load(model).get("fields") or {}
    events: dict[str, list[Event]] = {topic: [] for topic in TYPES}
    for i in range(n):
        topic = rng.choice(list(TYPES))
        made: dict[str, Any] = {
            "event_id": f"e-{i}",
            "type": rng.choice(TYPES[topic]),
            "ts": T0 * 1000 + rng.randrange(seconds * 1000),
        }
        labels = [*(name for name in _LABEL_FIELDS[topic] if topic != "orders" or name not in ("category", "sku"))]
        labels += [name for name, type_ in own.get(topic, {}).items() if type_ == "label"]
        made |= {name: rng.choice(LABELS) for name in labels if rng.random() < 0.7}
        flags = [name for name, type_ in own.get(topic, {}).items() if type_ == "flag"]
        flags += ["member"] if topic != "logistics" else []
        made |= {name: rng.choice([True, False, None]) for name in flags if rng.random() < 0.7}
        numbers = [name for name, type_ in own.get(topic, {}).items() if type_ in ("money", "count", "milliseconds")]
        made |= {name: rng.choice(NUMBERS) for name in numbers if rng.random() < 0.7}
        events[topic].append(made | _required(rng, topic, made["type"]))
    return events


def _required(rng: Random, topic: str, type_: str) -> dict[str, Any]:
    """Fields that the contract requires, and numbers."""
    who = {"user_id": f"u-{rng.randrange(5)}"}
    if topic == "clicks":
        numbers = {name: rng.choice(NUMBERS[:-1]) for name in ("dwell_ms", "load_ms", "cost") if rng.random() < 0.5}
        return {**who, "session_id": f"v-{rng.randrange(9)}", **numbers}
    if topic == "orders":
        lines = [
            {
                "sku": rng.choice(["s-1", "s-2", "a|b"]),
                "category": rng.choice(LABELS),
                "qty": rng.randrange(1, 4),
                "unit_price": rng.choice(NUMBERS),
                **({"cost": rng.choice(NUMBERS)} if rng.random() < 0.5 else {}),
            }
            for _ in range(rng.randrange(1, 4))
        ]
        worth = sum(line["qty"] * line["unit_price"] for line in lines)
        money: dict[str, Any] = {"discount": rng.randrange(worth + 1)} if rng.random() < 0.5 else {}
        money |= {"shipping_fee": rng.choice(NUMBERS)} if rng.random() < 0.3 else {}
        money |= {"refund_amount": rng.choice(NUMBERS)} if type_ == "order_refunded" or rng.random() < 0.1 else {}
        return {**who, "order_id": f"o-{rng.randrange(20)}", "items": lines, **money}
    stock = {"stock_level": {"on_hand": 5}, "stock_received": {"qty": 2}, "stock_adjusted": {"delta": -1}}
    if type_ in stock:
        return {"sku": "s-1", "warehouse": "w-1", **stock[type_]}
    returned = {"sku": "s-1", "qty": rng.randrange(1, 4)} if type_ == "return_received" else {}
    return {"order_id": f"o-{rng.randrange(20)}", **returned}
