"""`salepulse promotions`: apply promotions from a file, list and confirm them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consumers.commands.common import load_settings, report_errors, run
from consumers.commands.topics import CommandSettings
from consumers.errors import SalepulseError, UsageError
from consumers.times import format_utc
from consumers.topics import Topic
from consumers.validation_messages import how_many
from streams.commands.kpis import parse_time
from streams.commands.options import AsJson, Bootstrap, RedisUrl
from streams.commands.output import print_json, print_note, print_table
from streams.settings import Settings

if TYPE_CHECKING:
    from consumers.contract.events import Promotion
    from consumers.promotions.topic import PromotionReport
    from consumers.topics import Partition


class PromotionOrigin(StrEnum):
    """Where a promotion is known."""

    BOTH = "topic and shop"
    TOPIC = "topic"
    SHOP = "shop"


_REMARKS = {
    PromotionOrigin.TOPIC: "on the topic but not in force: no worker has read it yet",
    PromotionOrigin.SHOP: "in force but not on the topic, for example after the broker lost it: apply its file again",
}

app = typer.Typer(help="Apply, list and confirm promotions.", no_args_is_help=True)


@app.command()
def apply(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE.yaml", help="YAML file of promotions; see docs/promotions.md.")
    ] = None,
    delete: Annotated[
        list[str] | None, typer.Option("--delete", metavar="ID", help="Delete a promotion; may be repeated.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the changes without writing them.")] = False,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Apply the promotions of a file and show the changes.

    Promotions that the file does not name are unchanged. Changes apply retroactively to window, phases and attainment.
    If the file has an error, nothing is written.
    """
    with report_errors():
        if file is None and not delete:
            raise UsageError("no promotions given: name FILE.yaml, --delete ID, or both")
        wanted = _read(file) if file is not None else ()
        if both := {promotion.promotion_id for promotion in wanted} & set(delete or ()):
            raise UsageError(f"promotion {min(both)!r} is both in {file} and in --delete: remove it from one of them")
    settings = load_settings(CommandSettings, bootstrap=bootstrap)
    applied = run(_apply(settings, wanted, delete or (), dry_run))
    if as_json:
        print_json({"promotions": [_facts(report) for report in applied], "dry_run": dry_run})
    else:
        _print(applied, dry_run)


@app.command("list")
def list_(
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="TIME", help="Show phases at this time: epoch ms or ISO 8601.")
    ] = None,
    bootstrap: Bootstrap = None,
    redis_url: RedisUrl = None,
    as_json: AsJson = False,
) -> None:
    """List promotions with their phase, and whether topic and Redis both hold them.

    Workers copy promotions from the topic to Redis, which is in force. The two differ until a worker has read the
    topic, and after a broker has lost it.
    """
    from consumers.promotions.topic import read_promotion_topic

    with report_errors():
        at_ms = int(time.time() * 1000) if as_of is None else parse_time("--as-of", as_of)
    settings = load_settings(Settings, bootstrap=bootstrap, redis_url=redis_url)
    in_force = run(read_promotion_topic(settings.kafka))
    known = run(_promotions_in_redis(settings))
    sources = _sources(in_force.promotions, known)
    by_id = {**(known or {}), **in_force.promotions}
    listed = sorted(by_id.values(), key=lambda promotion: (promotion.starts_at, promotion.promotion_id))
    if as_json:
        facts = [
            {**_with_phase(promotion, at_ms), "source": sources[promotion.promotion_id].value} for promotion in listed
        ]
        print_json({"at": at_ms, "promotions": facts})
    else:
        print_table(
            ("promotion", "name", "now", "starts", "ends", "time zone", "targets", "SKUs", "baseline", "known to"),
            [(*_row(promotion, at_ms), sources[promotion.promotion_id].value) for promotion in listed],
            right=(7,),
            styles=("bold",),
        )
        print_note(f"{how_many(len(listed), 'promotion')} at {format_utc(at_ms)}; money in minor units")
    for source, remark in _REMARKS.items():
        if names := [name for name, known_to in sources.items() if known_to is source and known is not None]:
            print_note(f"{', '.join(sorted(names))}: {remark}")
    if in_force.rejected:
        print_note(
            f"{in_force.rejected} messages on the topic break the contract and were rejected: see the dead letters"
        )


@app.command()
def confirm(bootstrap: Bootstrap = None, redis_url: RedisUrl = None, as_json: AsJson = False) -> None:
    """Confirm that the promotions in force are complete, after changes to them may have been lost.

    Compare `list` with your files first. `doctor` warns until you confirm. Fails while topic and Redis differ.
    """
    from consumers.promotions.topic import read_promotion_topic

    settings = load_settings(Settings, bootstrap=bootstrap, redis_url=redis_url)
    promotions = run(read_promotion_topic(settings.kafka)).promotions
    confirmed = run(_confirm(settings, promotions))
    if as_json:
        print_json({"promotions": sorted(promotions), "confirmed": [str(partition) for partition in confirmed]})
    else:
        outcome = "confirmed" if confirmed else "no changes were marked as lost"
        typer.echo(f"{how_many(len(promotions), 'promotion')} in force: {outcome}")


def _read(file: Path) -> Sequence[Promotion]:
    """The promotions of a file. Prints each error on stderr with its line, then raises UsageError."""
    from consumers.promotions.file import read_promotions

    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8 (byte {error.start}): save it as UTF-8") from error
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}") from error
    parsed = read_promotions(text)
    for fault in parsed.errors:
        print_note(f"{file}:{fault.line}: {fault.message}")
    if parsed.errors:
        count = how_many(len(parsed.errors), "error")
        raise UsageError(f"{file} has {count}, nothing was written: correct the file and apply it again")
    return parsed.promotions


async def _apply(
    settings: CommandSettings, wanted: Sequence[Promotion], deleted: Sequence[str], dry_run: bool
) -> list[PromotionReport]:
    from consumers.promotions.topic import plan_promotions, read_promotion_topic, write_promotions
    from consumers.topic_contents import require_own_topics

    await require_own_topics(settings, (Topic.PROMOTIONS,), at_work=False)
    in_force = (await read_promotion_topic(settings.kafka)).promotions
    applied = plan_promotions(in_force, wanted, deleted)
    for promotion in wanted:
        _check_baseline(promotion, {**in_force, **{other.promotion_id: other for other in wanted}}, deleted)
    if not dry_run:
        await write_promotions(settings.kafka, applied)
    return applied


def _check_baseline(promotion: Promotion, known: dict[str, Promotion], deleted: Sequence[str]) -> None:
    """Reject a baseline that begins later; note a baseline that does not exist."""
    name = promotion.baseline
    if name is None:
        return
    if name not in known or name in deleted:
        print_note(f"note: baseline {name!r} of {promotion.promotion_id!r} is not among the promotions in force")
    elif known[name].starts_at >= promotion.starts_at:
        raise UsageError(
            f"baseline {name!r} of {promotion.promotion_id!r} does not begin earlier: name an earlier promotion"
        )


async def _confirm(settings: Settings, topic: Mapping[str, Promotion]) -> list[Partition]:
    """Clear the incomplete mark of partitions of `promotions` and return them. `topic`: the promotions on the topic.

    Raises SalepulseError and changes nothing if Redis holds other promotions than the topic.
    """
    from streams.panes.rows import RowIndex
    from streams.store.connection import open_store
    from streams.store.levels import levels
    from streams.store.reader import PaneReader
    from streams.store.writer import PaneWriter

    async with open_store(settings) as (redis, keys):
        reader = PaneReader(redis, keys, RowIndex())
        shop = await reader.promotions()
        if differing := sorted(name for name in {**shop, **topic} if shop.get(name) != topic.get(name)):
            raise SalepulseError(
                f"topic and Redis differ in {', '.join(differing)}; nothing was confirmed: see `promotions "
                "list`, apply the missing promotions, and confirm after a worker has read them"
            )
        incomplete = (await reader.state()).incomplete
        confirmed = [partition for partition in incomplete if partition.topic is Topic.PROMOTIONS]
        writer = PaneWriter(redis, keys, levels(settings))
        for partition in confirmed:
            await writer.clear_incomplete(partition)
        return confirmed


async def _promotions_in_redis(settings: Settings) -> Mapping[str, Promotion] | None:
    """Promotions in Redis; None, with a note, if Redis does not answer."""
    from streams.store.reader import read_promotions

    try:
        return await read_promotions(settings)
    except SalepulseError as error:
        print_note(f"note: these are the promotions of the topic; Redis failed: {error}")
        return None


def _sources(topic: Mapping[str, Promotion], shop: Mapping[str, Promotion] | None) -> dict[str, PromotionOrigin]:
    """Where each promotion is known."""
    known = shop or {}
    return {
        name: PromotionOrigin.SHOP
        if name not in topic
        else PromotionOrigin.BOTH
        if name in known
        else PromotionOrigin.TOPIC
        for name in {**known, **topic}
    }


def _facts(report: PromotionReport) -> dict[str, Any]:
    changes = [
        {
            "field": change.field,
            "before": change.before,
            "after": change.after,
            **({"note": change.note} if change.note else {}),
        }
        for change in report.changes
    ]
    return {"promotion_id": report.promotion_id, "outcome": report.outcome.value, "changes": changes}


def _print(applied: Sequence[PromotionReport], dry_run: bool) -> None:
    from consumers.promotions.changes import PromotionOutcome
    from consumers.times import format_local_time

    for report in applied:
        summary = "not found" if report.outcome is PromotionOutcome.ABSENT else report.outcome.value
        definition = report.definition
        if report.outcome is PromotionOutcome.ADDED and definition is not None:
            starts, ends = (
                format_local_time(at, definition.timezone) for at in (definition.starts_at, definition.ends_at)
            )
            summary += f": {starts} to {ends} {definition.timezone}"
        if report.changes and definition is not None:
            summary += ": " + ", ".join(change.text(definition.timezone) for change in report.changes)
        typer.echo(f"{report.promotion_id}: {summary}")
    if dry_run:
        print_note("dry run: nothing was written")


def _with_phase(promotion: Promotion, at_ms: int) -> dict[str, Any]:
    """A promotion and its progress, as JSON."""
    from streams.model.promotions import promotion_progress

    now = promotion_progress(promotion, at_ms)
    return {
        **promotion.model_dump(mode="json", exclude_none=True),
        "state": now.state.value,
        "phase": now.phase and now.phase.name,
        "next_phase": now.next and now.next.name,
        "elapsed_fraction": round(now.elapsed_fraction, 6),
    }


def _row(promotion: Promotion, at_ms: int) -> tuple[str, ...]:
    from consumers.times import format_local_time
    from streams.model.formatting import format_percent
    from streams.model.promotions import RunState, promotion_progress

    now = promotion_progress(promotion, at_ms)
    phase = now.phase.name if now.phase else ("between phases" if promotion.phases else "running")
    targets = promotion.targets
    return (
        promotion.promotion_id,
        promotion.name,
        f"{phase} ({format_percent(now.elapsed_fraction)})" if now.state is RunState.RUNNING else now.state.value,
        format_local_time(promotion.starts_at, promotion.timezone),
        format_local_time(promotion.ends_at, promotion.timezone),
        promotion.timezone,
        " / ".join(f"{amount:,}" for _, amount in targets) if targets else "none",
        f"{len(promotion.skus or ()):,}",
        promotion.baseline or "none",
    )
