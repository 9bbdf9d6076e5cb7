"""Write a run as files for `salepulse replay`, with its ground truth."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from io import BufferedWriter
from pathlib import Path
from typing import Any

import msgspec

from consumers.topics import EVENT_TOPICS, Topic
from streams.simulate.context import RunContext
from streams.simulate.generate import Season, Simulation
from streams.simulate.incidents import KINDS, Incident, sku_name
from streams.simulate.stock import stockout_skus

STEP_MS = 1000
COMPRESSION = 1
"""The fastest level: at 6, compression takes longer than the simulation."""


def write_season(season: Season, out_dir: Path, on_progress: Callable[[int, int], None] | None = None) -> None:
    """Write `<topic>.ndjson.gz` of each event topic in order of arrival, `promotions.ndjson` and `incidents.json`.

    Existing files are replaced. `on_progress` gets (ms done, ms in all) once per second of arrival time.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        files: dict[str, BufferedWriter | gzip.GzipFile] = {}
        for topic in EVENT_TOPICS:
            files[topic.value] = stack.enter_context(_packed(stack, out_dir / f"{topic}.ndjson.gz"))
        files[Topic.PROMOTIONS.value] = stack.enter_context((out_dir / "promotions.ndjson").open("wb"))
        for batch in season.batches(STEP_MS):
            lines: dict[str, list[bytes]] = {topic: [] for topic in files}
            for name, _, _, value in batch.messages:
                lines[name].append(value)
            for name, values in lines.items():
                if values:
                    files[name].write(b"\n".join(values) + b"\n")
            if on_progress:
                on_progress(batch.arrival_ms - season.start_ms, season.config.end_ms - season.start_ms)
    (out_dir / "incidents.json").write_bytes(ground_truth(season))


def ground_truth(season: Season) -> bytes:
    """The JSON of `incidents.json`: runs, incidents and exact counts so far."""
    document = {"version": 1, **_run(season.present), "earlier": [_run(run) for run in season.earlier]}
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def _run(simulation: Simulation) -> dict[str, Any]:
    config = simulation.config
    return {
        "seed": config.seed,
        "start_ms": config.start_ms,
        "end_ms": config.end_ms,
        "day_speed": config.day_speed,
        "ship_speed": config.ship_speed,
        "shop_speed": config.shop_speed,
        "config": asdict(config),
        "incidents": describe_incidents(simulation.world),
        "truth": {**asdict(simulation.truth), "total": simulation.truth.total},
    }


def describe_incidents(world: RunContext) -> list[dict[str, Any]]:
    """The incidents of a run with their expected effects and the values that are hit."""
    return [_describe(incident) | {"values": _values(incident, world)} for incident in world.effects.incidents]


def _values(incident: Incident, world: RunContext) -> dict[str, list[str]]:
    """<dimension: values>: those that the incident is limited to, with the categories of its SKUs."""
    values = {dimension: [label] for dimension, label in incident.labels}
    skus = [code for dimension, code in incident.where if dimension == "sku"]
    if incident.kind == "stockout":
        skus = stockout_skus(incident, world.config.skus).tolist()
    if skus:
        values["sku"] = [sku_name(sku) for sku in skus]
        categories = (world.config.categories[world.catalog.category[sku]] for sku in skus)
        values["category"] = list(dict.fromkeys(categories))
    return values


def _describe(incident: Incident) -> dict[str, Any]:
    kind = KINDS[incident.kind]
    numbers = {"size": f"{incident.size:g}", "left": f"{1 - incident.size:g}"}
    return {
        "spec": incident.spec,
        "kind": incident.kind,
        "start_ms": incident.start_ms,
        "end_ms": incident.end_ms,
        "size": None if kind.size is None else incident.size,
        "dimension": dict(incident.labels),
        "options": dict(incident.options),
        "changed": kind.changes.format(**numbers),
        "expected": [{"kpi": kpi, "effect": effect.format(**numbers)} for kpi, effect in kind.expect],
        "alert": kind.alert,
    }


def _packed(stack: ExitStack, path: Path) -> gzip.GzipFile:
    """A gzip file without name and time in its header, so that equal content gives equal bytes."""
    raw = stack.enter_context(path.open("wb"))
    return gzip.GzipFile("", "wb", COMPRESSION, raw, mtime=0)
