"""Generates `docs/reference/` from the code: `python -m tests.tools.reference`.

The pages say nothing that the code does not say itself, but for a few sentences about how to read them.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from prometheus_client import ProcessCollector
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from pydantic.fields import FieldInfo

from alerts.metrics import AlertMetrics
from alerts.store.keys import AlertKeys
from consumers.contract.events import EVENT_TYPES, REQUIRED_BY_TYPE, Phase, Promotion, Targets
from consumers.contract.own_fields import VERSION_2_FIELDS, FieldType
from consumers.contract.rejection import RejectionReason
from consumers.ndjson import key_field
from consumers.settings import Clock, IngestSettings, variable
from consumers.times import format_duration
from consumers.topics import CONTRACT_FEEDS, EVENT_TOPICS, Feeds, Partition, SourceTopic, Topic
from streams.dictionary.builtin import BUILT_IN
from streams.dictionary.compiling import (
    MAX_OWN_COUNTERS,
    MAX_OWN_DIMENSIONS,
    MAX_OWN_FIELDS,
    MAX_OWN_METRICS,
    MAX_OWN_OTHERS,
)
from streams.dictionary.fields import Field as ModelField
from streams.dictionary.fields import fields_with
from streams.dictionary.file import (
    MAX_PARTS,
    MAX_WHERE_VALUES,
    DimensionEntry,
    MeasureEntry,
    MetricEntry,
    ModelFile,
    WhereEntry,
)
from streams.dictionary.formula import MAX_FORMULA
from streams.model.kpis import NAMES, UNITS
from streams.model.promotions import promotion_progress
from streams.model.target_forecast import Forecast
from streams.model.windows import Window
from streams.panes.counters import COUNTERS, Unit
from streams.panes.scopes import SCOPES
from streams.serve.connections import Connections
from streams.serve.definitions import Definition, NumberKind, definitions
from streams.serve.gauges import SCOPE_WINDOWS, TOP_SKUS, metric_name
from streams.serve.http_limits import HttpLimit, HttpLimitCounts
from streams.serve.live import Live
from streams.serve.metrics import SERVE_PROCESS, ServerCollector
from streams.serve.promotion_metrics import RunningPromotion, promotion_families
from streams.settings import ALERTS_METRICS_PORT, WORKER_METRICS_PORT, Settings
from streams.settings_report import display_value
from streams.store.as_of import AsOf, PartitionState
from streams.store.keys import Keys
from streams.store.levels import levels
from streams.store.state import StoreState
from streams.view.answer_status import NotLiveReason, ServerState, answer_status
from streams.view.follower_thread import RedisMetrics
from streams.view.forecasts import ForecastBasis, TargetOutlook
from streams.view.precomputed import AnswerSnapshot
from streams.worker.metrics import WORKER_PROCESS, WorkerMetrics

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference"
_MARK = "<!-- Written by `python -m tests.tools.reference` from the code. Change the code, then run it again. -->"
_UNIT_OF = {Unit.MILLISECONDS: "ms", Unit.SECONDS: "s"}


def pages() -> dict[str, str]:
    """Text of each page by file name."""
    made = {
        "events.md": _events(),
        "kpis.md": _kpis(),
        "metrics.md": _metrics(),
        "model.md": _model(),
        "settings.md": _settings(),
        "keys.md": _keys(),
    }
    return {name: "\n".join([_MARK, "", *parts]).rstrip() + "\n" for name, parts in made.items()}


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


# Pages ---------------------------------------------------------------------------------------------------------------


def _events() -> list[str]:
    topics = []
    for topic in Topic:
        if topic in (Topic.DEAD_LETTERS, Topic.ALERTS):
            continue
        schema = f"[{topic}.schema.json](../schemas/{topic}.schema.json)"
        topics.append((f"`{topic}`", docs_of(Topic)[topic], schema))
    types = [
        (f"`{name}`", f"`{topic}`", f"`{key_field(topic, name)}`", _code(REQUIRED_BY_TYPE.get(name, ())))
        for topic in EVENT_TOPICS
        for name in sorted(EVENT_TYPES[topic])
    ]
    reasons = [(f"`{reason}`", docs_of(RejectionReason)[reason]) for reason in RejectionReason]
    return [
        "# Events",
        "",
        *_prose("""
            One JSON object per message. The JSON Schemas, generated from the models in
            `consumers/contract/events.py`, list every field with its type and limits.
            [contract-notes.md](../contract-notes.md) has what schemas cannot express and the contract leaves open.
        """),
        "",
        *_table(("topic", "is", "schema"), topics),
        "",
        "## Types",
        "",
        "Required: in addition to the fields required by the topic.",
        "",
        *_table(("type", "topic", "Kafka key", "required"), types),
        "",
        "## Rejection reasons",
        "",
        *_prose("""
            A message has exactly one reason: the first in this order that applies. It is the label `reason` of
            `salepulse_rejected_total` and the header `salepulse-reason` of the dead letter.
        """),
        "",
        *_table(("reason", "means"), reasons),
    ]


def _kpis() -> list[str]:
    rows = [
        (f"`{one.name}`", one.kind.value, _UNIT_OF.get(one.unit, one.unit.value), one.formula, _absent(one))
        for one in definitions()
    ]
    hidden = [(f"`{counter.name}`", counter.counts) for counter in COUNTERS if not counter.public]
    field_of = {scope: BUILT_IN.dimensions[scope].field for scope in SCOPES}
    scopes = [(f"`{scope}`", f"`{field}`" if field else "none: every event") for scope, field in field_of.items()]
    windows = [(f"`{window}`", docs_of(Window).get(window, "Rolling, `[as_of - w, as_of)`.")) for window in Window]
    kinds = [(kind.value, docs_of(NumberKind)[kind]) for kind in NumberKind]
    return [
        "# Counters and KPIs",
        "",
        *_prose("""
            Also at `GET /api/v1/definitions` and by `salepulse definitions`. Money is in minor units in JSON and in
            major units on `/metrics`. A number is null where its denominator is 0, or where the scope or window
            does not have it. How windows are rounded is in [contract-notes.md](../contract-notes.md).
        """),
        "",
        *_table(("name", "kind", "unit", "formula", "null in scopes"), rows),
        "",
        *_table(("kind", "is"), kinds),
        "",
        "Kept for the formulas only, not part of answers:",
        "",
        *_table(("name", "counts"), hidden),
        "",
        "## Windows",
        "",
        *_table(("window", "covers"), windows),
        "",
        "## Scopes",
        "",
        "An event without the field counts only in `all`.",
        "",
        *_table(("scope", "field"), scopes),
    ]


def _metrics() -> list[str]:
    gauges = [
        (f"`{metric_name(name)}`", "major currency units" if UNITS[name] is Unit.MONEY else _base_unit(UNITS[name]))
        for name in NAMES
    ]
    served = [_family_row(family, _sample_labels(family)) for family in served_families()]
    served += _process(SERVE_PROCESS)
    refusals = [(f"`{reason}`", docs_of(HttpLimit)[reason]) for reason in HttpLimit]
    not_live = [(f"`{code}`", docs_of(NotLiveReason)[code]) for code in NotLiveReason]
    running = [_family_row(family, _sample_labels(family)) for family in running_families()]
    worker = WorkerMetrics()
    mine = [found for found in vars(worker).values() if isinstance(found, MetricWrapperBase)]
    workers = [_family_row(family, found._labelnames) for found in mine for family in found.describe()]
    workers += _process(WORKER_PROCESS)
    watch = [found for found in vars(AlertMetrics()).values() if isinstance(found, MetricWrapperBase)]
    alerts = [_family_row(family, found._labelnames) for found in watch for family in found.describe()]
    return [
        "# Prometheus metrics",
        "",
        *_prose("""
            Each process has `/metrics` of its own, as Prometheus text or OpenMetrics. That of `salepulse serve` has
            the KPIs, counts, state and promotions. Servers side by side expose the same: scrape one, or all of them and
            aggregate with `max`.
        """),
        "",
        "## KPIs",
        "",
        *_prose(f"""
            Gauges with the labels `window`, `scope`, `value`. Scope `all` is exposed for every window, other scopes
            for {_code(SCOPE_WINDOWS)}: the largest values by GMV, and the sum of the rest with `value=""` and
            `rest="true"`; of SKUs the top {TOP_SKUS}. Null values are absent. The setting `series_budget` limits the
            number of series. Formulas: [kpis.md](kpis.md).
        """),
        "",
        *_table(("metric", "unit"), gauges),
        "",
        "## Counts and state",
        "",
        *_table(("metric", "type", "labels", "meaning"), served),
        "",
        "The label `reason` of `salepulse_http_refused_total`:",
        "",
        *_table(("reason", "means"), refusals),
        "",
        "The label `reason` of `salepulse_not_live`, and the `codes` of `/readyz`:",
        "",
        *_table(("reason", "means"), not_live),
        "",
        "## Promotions",
        "",
        "Of promotions that are running at the newest as-of.",
        "",
        *_table(("metric", "type", "labels", "meaning"), running),
        "",
        "## Workers",
        "",
        f"Of each worker, at `metrics_host` and `metrics_port` ({WORKER_METRICS_PORT}). Gauges are set every second.",
        "",
        *_table(("metric", "type", "labels", "meaning"), workers),
        "",
        "## Alerts",
        "",
        f"Of each process of `salepulse alerts`, at `metrics_host` and `metrics_port` ({ALERTS_METRICS_PORT}).",
        "",
        *_table(("metric", "type", "labels", "meaning"), alerts),
    ]


def served_families() -> list[Metric]:
    """The metrics of a server, besides KPIs and promotions."""
    return list(ServerCollector(_one_partition(), Connections(1, HttpLimitCounts())).collect())


def running_families() -> list[Metric]:
    """The metrics of running promotions."""
    return list(promotion_families([_running()], 2, UNITS))


def _process(namespace: str) -> list[tuple[str, ...]]:
    """Process metrics of the operating system (Linux only)."""
    return [_family_row(family, ()) for family in ProcessCollector(namespace, registry=None).collect()]


def _model() -> list[str]:
    parts = (
        ("", ModelFile),
        ("An entry of `dimensions`", DimensionEntry),
        ("An entry of `measures`", MeasureEntry),
        ("An entry of `metrics`", MetricEntry),
        ("A condition of `where`", WhereEntry),
    )
    tables = []
    for title, part in parts:
        rows = [
            (
                f"`{field.alias or name}`",
                "yes" if field.is_required() else "",
                " ".join((field.description or "").split()),
            )
            for name, field in part.model_fields.items()
        ]
        tables += [f"## {title}", ""] if title else []
        tables += [*_prose(part.__doc__ or ""), "", *_table(("field", "required", "is"), rows), ""]
    fields = [
        (f"`{found.name}`", f"`{topic}`", found.type.value, "yes" if found.of_items else "", _line_form(found))
        for topic, of_topic in fields_with(VERSION_2_FIELDS).items()
        for found in (*of_topic.of_event.values(), *of_topic.of_items.values())
    ]
    limits = [
        ("own fields of a topic", MAX_OWN_FIELDS),
        ("own dimensions", MAX_OWN_DIMENSIONS),
        ("own `count` and `sum`", MAX_OWN_COUNTERS),
        ("own `distinct`, `min` with `max`, and `quantiles`, each", MAX_OWN_OTHERS),
        ("own metrics", MAX_OWN_METRICS),
        ("dimensions in `cross`", MAX_PARTS),
        ("values of a condition", MAX_WHERE_VALUES),
        ("characters of a formula", MAX_FORMULA),
    ]
    return [
        "# File of a model",
        "",
        *_prose("""
            [model.md](../model.md) shows how to write one; `salepulse model check FILE` checks it, and the
            [JSON Schema](../schemas/model.schema.json) lets editors complete it. Names are lower-case letters, digits
            and `_`, up to 48 characters.
        """),
        "",
        *tables,
        "## Types of own fields",
        "",
        *_table(("type", "is"), [(f"`{type_}`", docs_of(FieldType)[type_]) for type_ in FieldType]),
        "",
        "## Fields of events",
        "",
        *_prose("""
            What dimensions and measures may name, besides own fields. In dimensions by order line a number is that of
            the line, if it has one, else null.
        """),
        "",
        *_table(("field", "topic", "type", "of order lines", "per line"), fields),
        "",
        "## Limits",
        "",
        *_table(("of", "at most"), [(what, f"{limit:,}") for what, limit in limits]),
    ]


def _line_form(found: ModelField) -> str:
    return "yes" if found.has_line_form else ""


def _settings() -> list[str]:
    head = ("setting", "default", "allowed", "meaning")
    ingest = list(IngestSettings.model_fields)
    fields = Settings.model_fields
    clocks = [(f"`{clock}`", docs_of(Clock)[clock]) for clock in Clock]
    return [
        "# Settings",
        "",
        *_prose(f"""
            Precedence: flags, environment, `salepulse.toml` in the current folder. The environment variable of a
            setting is its name in capitals after `SALEPULSE_`: `{
            variable(Settings, "redis_url")
        }`. `salepulse settings` prints all settings with values and sources; secrets are masked.
        """),
        "",
        "## Reading from Kafka",
        "",
        *_table(head, [_setting(name, fields[name]) for name in ingest]),
        "",
        "## Panes, answers, server",
        "",
        *_table(head, [_setting(name, field) for name, field in fields.items() if name not in ingest]),
        "",
        "## Clocks",
        "",
        *_table(("clock", "is"), clocks),
    ]


def _keys() -> list[str]:
    table = _key_table(Keys)
    held = [
        (
            f"`{level.name}`",
            *map(_retention, (level.counters_step_s, level.distincts_step_s, level.block_s, level.keep_s)),
        )
        for level in levels(Settings.model_construct())
    ]
    return [
        "# Keys in Redis",
        "",
        *_prose("""
            `prefix` is the setting `redis_prefix`. `{n}` is the shard, from 0 to `shards` - 1, in a hash tag of Redis
            Cluster: every call uses keys of one shard, and so of one node. The CRC-32 of `topic/p` selects the shard
            of a partition; partitions of `logistics` are in the shard of the same partition of `orders`, and
            `promotions` is in shard 0.
            [architecture.md](../architecture.md) explains their use.
        """),
        "",
        *table,
        "",
        "## Alerts",
        "",
        *_key_table(AlertKeys),
        "",
        "## Levels of panes",
        "",
        "With the default settings. With `retain` = `all` every level is kept without limit.",
        "",
        *_table(("level", "counters", "distinct counts", "block", "retention (event time)"), held),
    ]


def _key_table(kind: type[Keys] | type[AlertKeys]) -> list[str]:
    return [line.strip() for line in (kind.__doc__ or "").splitlines() if line.strip().startswith("|")]


# Parts of pages ------------------------------------------------------------------------------------------------------


def docs_of(kind: type[StrEnum]) -> dict[Any, str]:
    """Docstrings of an enum's members, which Python drops at run time."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for member, below in zip(body.body, body.body[1:], strict=False):
        match member, below:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(text))):
                found[kind[name]] = " ".join(text.split())
    return found


def _prose(text: str) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), 120, break_long_words=False, break_on_hyphens=False)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    escaped = ([cell.replace("|", r"\|") for cell in row] for row in rows)
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *escaped)]


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _absent(definition: Definition) -> str:
    return _code(scope for scope in SCOPES if scope not in definition.scopes)


def _base_unit(unit: Unit) -> str:
    return {Unit.RATIO: "fraction", Unit.SECONDS: "seconds"}.get(unit, unit.value)


def _family_row(family: Metric, labels: Iterable[str]) -> tuple[str, str, str, str]:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return f"`{name}`", family.type, _code(labels), family.documentation


def _sample_labels(family: Metric) -> tuple[str, ...]:
    return tuple(family.samples[0].labels)


def _one_partition() -> Live:
    """As much of a followed view as every family needs to show one sample."""
    partitions = {Partition(Topic.CLICKS, 0): PartitionState(0, 0, 0, 0, 0, 0)}
    facts = ServerState(AsOf(0, ()), partitions, (), 0, None)
    feeds: Feeds = {**CONTRACT_FEEDS, SourceTopic("shop.orders"): (Topic.ORDERS,)}
    live = SimpleNamespace(
        redis_metrics=RedisMetrics(),
        state=StoreState((), partitions, 0, incomplete=dict.fromkeys(partitions, 1), feeds=feeds),
        snapshot=AnswerSnapshot(positions={str(partition): 0 for partition in partitions}),
        answer_status=lambda as_of_ms=None: answer_status(facts, 0),
        stuck=dict,
        now_ms=lambda: 0,
        clock_ahead_ms=0.0,
        settings=Settings(),
        model=BUILT_IN,
    )
    return cast(Live, live)


def _running() -> RunningPromotion:
    """As much of a promotion as every family needs to show one sample."""
    phase = Phase(name="opening", starts_at=0, ends_at=1)
    definition = Promotion(
        promotion_id="sale",
        name="sale",
        timezone="UTC",
        starts_at=0,
        ends_at=1,
        phases=(phase,),
        targets=Targets(base=1, sprint=1, challenge=1),
    )
    outlook = TargetOutlook(0, ForecastBasis.FINAL, (), Forecast.certain(1))
    return RunningPromotion(definition, promotion_progress(definition, 0), outlook, {"gmv": 1})


def _retention(seconds: int | None) -> str:
    return "unlimited" if seconds is None else format_duration(seconds * 1000)


def _setting(name: str, field: FieldInfo) -> tuple[str, str, str, str]:
    default = display_value(field.default)
    return f"`{name}`", "empty" if default == "" else f"`{default}`", _allowed(field), field.description or ""


def _allowed(field: FieldInfo) -> str:
    if isinstance(field.annotation, type) and issubclass(field.annotation, StrEnum):
        return _code(field.annotation)
    limits = []
    for limit in field.metadata:
        match limit:
            case Ge(ge=bound):
                limits.append(f"≥ {bound}")
            case Gt(gt=bound):
                limits.append(f"> {bound}")
            case Le(le=bound):
                limits.append(f"≤ {bound}")
            case Lt(lt=bound):
                limits.append(f"< {bound}")
            case MinLen(min_length=bound):
                limits.append(f"≥ {bound} characters" if bound > 1 else "not empty")
            case MaxLen(max_length=bound):
                limits.append(f"≤ {bound} characters")
            case _ if pattern := getattr(limit, "pattern", None):
                limits.append(f"matches `{pattern}`")
    return ", ".join(limits)


if __name__ == "__main__":
    main()
