"""The same events as messages of the contract, in a shop's own JSON, and in Avro and Protobuf behind a registry."""

from __future__ import annotations

import asyncio
import json
import statistics
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from consumers.kafka.producer import OutgoingMessage
from consumers.topics import SourceTopic, Topic
from streams.model.windows import Window
from tests.bench.checking import wrong_totals
from tests.bench.facts import Facts, differences
from tests.bench.ground import PARTITIONS, Ground
from tests.bench.loading import load
from tests.bench.recorder import Recorder, Run, run_of
from tests.bench.report import Part, Table, Target, say
from tests.bench.workload import events
from tests.support import registry_formats
from tests.support.schema_registry import SchemaRegistry, framed

CONTRACT, OWN_JSON, REGISTRY = "contract", "own JSON", "Avro clicks, Protobuf orders"
CLICKS, ORDERS = map(SourceTopic, ("shop.clicks.json", "shop.orders.json"))
_AT_LEAST = 50
"""Target: percent of the contract's rate."""
_WITHIN_S = 300
_COLUMNS = ("messages", "events", "events/s", "% of the contract's", "CPU-s per million", "exact")
_LABELS = "channel: {path: channel}, region: {path: region}, promotion_id: {path: promo}, member: {path: member}"
_FILE = f"""
version: 1
sources:
  - topic: {CLICKS}
    events:
      - to: clicks
        fields: {{type: {{path: name}}, event_id: {{path: id}}, ts: {{path: time, time: iso}}, user_id: {{path: user.id}},
                 session_id: {{path: user.session}}, sku: {{path: product.sku}}, category: {{path: product.category}},
                 dwell_ms: {{path: dwell}}, {_LABELS}}}
  - topic: {ORDERS}
    events:
      - to: orders
        fields:
          type: {{path: state, map: {{new: order_created, paid: order_paid, failed: payment_failed, cancelled: order_cancelled}}}}
          event_id: {{path: id}}
          ts: {{path: time, time: iso}}
          order_id: {{path: number}}
          user_id: {{path: customer.id, or: [customer.mail]}}
          items:
            each: lines
            fields: {{sku: {{path: sku}}, category: {{path: group}}, qty: {{path: count}}, unit_price: {{path: price, money: major}}}}
          {_LABELS.replace(", ", chr(10) + "          ")}
"""  # noqa: E501 (YAML)
_STATES = {"order_created": "new", "order_paid": "paid", "payment_failed": "failed", "order_cancelled": "cancelled"}


def measure(ground: Ground, *, count: int, repeats: int) -> Part:
    """The whole part."""
    part, facts, ids, rng = Part("Sources"), Facts(ground.folder), dict[str, int](), Random(1)
    ground.empty()
    runs: dict[str, list[Run]] = {}
    with ExitStack() as stack:
        registry = stack.enter_context(SchemaRegistry())
        stack.callback(facts.close)
        ids = registry_formats.register(registry)
        registry_formats.order_class(0)
        files = {CONTRACT: "", OWN_JSON: _FILE, REGISTRY: registry_formats.sources(registry.url)}
        asyncio.run(_create_topics(ground.broker.bootstrap))
        for what, form in _forms(ids, rng).items():
            say(f"sources: writing {count:,} events, {what}")
            load(ground.broker.bootstrap, map(form, events(count)), facts if what == CONTRACT else None)
        facts.done()
        for _ in range(repeats):
            for what, text in files.items():
                say(f"sources: {what}")
                run, wrong = _run(ground, text, count, facts)
                runs.setdefault(what, []).append(run)
                part.runs.append({"what": what, **run.plain()})
                part.wrong += [f"{what}: {line}" for line in wrong]
    table = Table(f"One worker, medians of {repeats}", _COLUMNS)
    rates = {what: statistics.median(run.events_per_s for run in found) for what, found in runs.items()}
    for what, rate in rates.items():
        share = 100 * rate / rates[CONTRACT]
        cpu = statistics.median(run.cpu_s_per_million for run in runs[what])
        exact = "NO" if any(line.startswith(f"{what}:") for line in part.wrong) else "yes"
        table.rows.append([what, count, rate, share, cpu, exact])
        if what != CONTRACT:
            part.targets.append(Target(f"{what}, of the contract's rate", share, "%", _AT_LEAST, at_most=False))
    part.tables.append(table)
    return part


def _run(ground: Ground, text: str, count: int, facts: Facts) -> tuple[Run, list[str]]:
    """One worker over all messages of a form; what it counted wrong."""
    ground.empty_redis()
    file = Path(ground.folder) / "sources.yaml"
    file.write_text(text)
    settings = ground.settings(sources=str(file) if text else "")
    with ground.workers(1, settings) as processes:
        with Recorder(ground, processes) as recorder:
            recorder.until_counted(count, _WITHIN_S)
        run = run_of(recorder.samples)
        totals = {name: n for name, n in ground.totals(settings).items() if not name.startswith("mapped,")}
        wrong = wrong_totals(totals, facts.types)
        wrong += differences(settings, facts, (Window.M1, Window.H1), facts.newest_ms)
    return run, wrong


async def _create_topics(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        topics = (CLICKS, ORDERS, *registry_formats.REGISTRY_TOPICS)
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1) for topic in topics])
    finally:
        await admin.close()


Form = Callable[[Iterable[OutgoingMessage]], list[OutgoingMessage]]


def _forms(ids: Mapping[str, int], rng: Random) -> dict[str, Form]:
    """# <name: function that writes events of the contract in a form>"""

    def in_own_json(messages: Iterable[OutgoingMessage]) -> list[OutgoingMessage]:
        return [_own(message, json.loads(message.value or b"")) for message in messages]

    def behind_registry(messages: Iterable[OutgoingMessage]) -> list[OutgoingMessage]:
        return [_registered(message, json.loads(message.value or b""), ids, rng) for message in messages]

    return {CONTRACT: list, OWN_JSON: in_own_json, REGISTRY: behind_registry}


def _own(message: OutgoingMessage, event: Mapping[str, Any]) -> OutgoingMessage:
    at = datetime.fromtimestamp(event["ts"] // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{event['ts'] % 1000:03d}Z"
    own = {"id": event["event_id"], "time": at, "channel": event["channel"], "region": event["region"],
           "promo": event["promotion_id"], "member": event["member"]}  # fmt: skip
    if message.topic is Topic.CLICKS:
        own |= {"name": event["type"], "dwell": event["dwell_ms"],
                "user": {"id": event["user_id"], "session": event["session_id"]},
                "product": {"sku": event["sku"], "category": event["category"]}}  # fmt: skip
        return OutgoingMessage(CLICKS, message.key, json.dumps(own).encode())
    lines = [
        {"sku": item["sku"], "group": item["category"], "count": item["qty"], "price": _major(item["unit_price"])}
        for item in event["items"]
    ]
    own |= {"state": _STATES[event["type"]], "number": event["order_id"], "customer": {"id": event["user_id"]}}
    return OutgoingMessage(ORDERS, message.key, json.dumps({**own, "lines": lines}).encode())


def _major(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02d}"


def _registered(
    message: OutgoingMessage, event: Mapping[str, Any], ids: Mapping[str, int], rng: Random
) -> OutgoingMessage:
    if message.topic is Topic.CLICKS:
        payload = framed(ids["avro0"], registry_formats.avro_click(event, 0, rng))
        return OutgoingMessage(registry_formats.CLICKS, message.key, payload)
    payload = framed(ids["protobuf0"], registry_formats.protobuf_order(event, 0), registry_formats.ORDER_INDEXES)
    return OutgoingMessage(registry_formats.ORDERS, message.key, payload)
