"""`salepulse dead-letters`: inspect rejected messages and replay them."""

from __future__ import annotations

import base64
import heapq
import json
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from consumers.commands.common import load_settings, parse_since, report_errors, run
from consumers.commands.topics import AsJson, Bootstrap, CommandSettings
from consumers.contract.rejection import RejectionReason
from consumers.dead_letters.letters import DeadLetter, DeadLetterFilter
from consumers.dead_letters.reading import read_dead_letters, replay_dead_letters
from consumers.errors import SalepulseError, UsageError
from consumers.kafka.connection import KafkaTarget
from consumers.times import format_utc
from consumers.topics import READ_TOPICS

_MOST_NAMED = 10

app = typer.Typer(help="Inspect and replay rejected messages.", no_args_is_help=True)

Reasons = Annotated[
    list[RejectionReason] | None, typer.Option("--reason", help="Only those rejected for this reason; may be repeated.")
]
Topics = Annotated[
    list[str] | None,
    typer.Option("--topic", metavar="TOPIC", help="Only those of this topic, by its logical name; may be repeated."),
]
Since = Annotated[
    str | None, typer.Option(help="Only those rejected since then: an age such as 15m, 2h or 7d, or an ISO 8601 time.")
]


@app.command("list")
def list_(
    reason: Reasons = None,
    topic: Topics = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=0, help="Most letters to list, the newest.")] = 50,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, newest last, and count all that match by reason."""
    selection = _selection(reason, topic, since)
    settings = load_settings(CommandSettings, bootstrap=bootstrap)
    _check_topics(topic, settings)
    newest, counts = run(_newest(settings.kafka, selection, limit))
    total = sum(counts.values())
    if as_json:
        typer.echo(json.dumps({"total": total, "by_reason": dict(counts.most_common()), "dead_letters": newest}))
        return
    for facts in newest:
        columns = [str(facts[name]) for name in ("id", "rejected_at", "reason", "detail")]
        typer.echo(_printable("  ".join([*columns, *_not_whole(facts)]).encode()))
    by_reason = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    typer.echo(f"{len(newest)} of {total} dead letters" + (f": {by_reason}" if total else ""))


@app.command()
def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="topic/partition/offset, as `list` prints it.")],
    raw: Annotated[bool, typer.Option("--raw", help="Write the original value byte for byte.")] = False,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Show one dead letter with the original message, or the part of it that was kept."""
    _selection(ids=[letter_id])
    settings = load_settings(CommandSettings, bootstrap=bootstrap)
    letter = run(_find(settings.kafka, letter_id))
    if raw:
        sys.stdout.buffer.write(letter.value or b"")
        for note in _not_whole(_facts(letter)):
            typer.echo(note, err=True)
    elif as_json:
        headers = [{"name": name, **_bytes("value", given)} for name, given in letter.headers]
        texts = {**_bytes("key", letter.key), **_bytes("value", letter.value)}
        typer.echo(json.dumps({**_facts(letter), **texts, "headers": headers}))
    else:
        for name, given in _facts(letter).items():
            typer.echo(f"{name}: {_printable(str(given).encode())}")
        for header, content in letter.headers:
            typer.echo(_printable(f"header {header}: ".encode() + (b"null" if content is None else content)))
        typer.echo("value: null" if letter.value is None else f"value:\n{_printable(letter.value)}")


@app.command()
def replay(
    reason: Reasons = None,
    topic: Topics = None,
    since: Since = None,
    ids: Annotated[
        list[str] | None, typer.Option("--id", metavar="ID", help="topic/partition/offset; may be repeated.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Replay all dead letters.")] = False,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Send dead letters to their topics again, with their original key, headers and time.

    Truncated messages and undecodable batches are skipped. A replay leaves the dead letters in place; a message that is
    rejected again becomes another dead letter with its new offset. An event counts once, however often it is sent,
    while its event_id is remembered.
    """
    selection = _selection(reason, topic, since, ids)
    with report_errors():
        if everything == (selection != DeadLetterFilter()):
            raise UsageError("no dead letters selected: give --reason, --topic, --since or --id, or else --all")
    settings = load_settings(CommandSettings, bootstrap=bootstrap)
    _check_topics(topic, settings)
    resent = run(replay_dead_letters(settings.kafka, selection))
    count = sum(resent.sent.values())
    if as_json:
        typer.echo(json.dumps({"replayed": dict(resent.sent), "withheld": list(resent.withheld)}))
    else:
        by_topic = ", ".join(f"{count} to {name}" for name, count in resent.sent.items())
        typer.echo(f"sent again: {by_topic or 'nothing, no matching dead letter can be sent'}")
        if resent.withheld and not selection.ids:
            typer.echo(_withheld(resent.withheld), err=True)
    with report_errors():
        if selection.ids and resent.withheld:
            raise SalepulseError(_withheld(resent.withheld))
        if count < len(selection.ids):
            raise SalepulseError(f"{count} of {len(selection.ids)} ids exist: see `salepulse dead-letters list`")


def _withheld(ids: Sequence[str]) -> str:
    listed = ", ".join(ids[:_MOST_NAMED]) + (f" and {len(ids) - _MOST_NAMED} more" if len(ids) > _MOST_NAMED else "")
    return (
        f"dead letters without the whole message cannot be sent: {listed}; while Kafka keeps the originals "
        "at these offsets of their topics, send them again from there, or from their source"
    )


def _not_whole(facts: Mapping[str, Any]) -> list[str]:
    """Notes on a dead letter that does not hold the whole message."""
    notes = []
    if facts["last_offset"] is not None:
        notes.append(f"(a batch: the records at offsets {facts['offset']} to {facts['last_offset']} are lost)")
    if facts["truncated"] is not None:
        kept, whole, sha256 = facts["value_bytes"] or 0, facts["truncated"]["value_bytes"], facts["truncated"]["sha256"]
        notes.append(f"(truncated: the first {kept:,} of {whole:,} bytes, SHA-256 {sha256})")
    return notes


def _selection(
    reasons: Sequence[RejectionReason] | None = None,
    topics: Sequence[str] | None = None,
    since: str | None = None,
    ids: Sequence[str] | None = None,
) -> DeadLetterFilter:
    with report_errors():
        for letter_id in ids or ():
            if not re.fullmatch(r"[^/\s]+/\d+/\d+", letter_id):
                raise UsageError(
                    f"{letter_id!r} is not an id: write topic/partition/offset, as `dead-letters list` does"
                )
        return DeadLetterFilter(
            reasons=frozenset(map(str, reasons or ())),
            topics=frozenset(topics or ()),
            ids=frozenset(ids or ()),
            since_ms=None if since is None else parse_since(since, datetime.now(UTC)),
        )


def _check_topics(names: Sequence[str] | None, settings: CommandSettings) -> None:
    """Raise UsageError for topics that workers do not read."""
    for name in names or ():
        if name not in READ_TOPICS and not settings.sources:
            with report_errors():
                raise UsageError(f"{name!r} is no topic that workers read: name one of {', '.join(READ_TOPICS)}")


async def _newest(
    kafka: KafkaTarget, selection: DeadLetterFilter, limit: int
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """The `limit` newest letters in the order of their rejection, and the number of all by reason."""
    counts: Counter[str] = Counter()
    newest: list[tuple[int, int, dict[str, Any]]] = []  # a heap of (rejection time, tie-breaker, facts)
    async for letter in read_dead_letters(kafka, selection):
        counts[letter.reason] += 1
        heapq.heappush(newest, (letter.rejected_at_ms, counts.total(), _facts(letter)))
        if len(newest) > limit:
            heapq.heappop(newest)
    return [facts for _, _, facts in sorted(newest)], counts


async def _find(kafka: KafkaTarget, letter_id: str) -> DeadLetter:
    newest = None
    async for letter in read_dead_letters(kafka, DeadLetterFilter(ids={letter_id})):
        if newest is None or letter.rejected_at_ms >= newest.rejected_at_ms:
            newest = letter
    if newest is None:
        raise SalepulseError(f"there is no dead letter {letter_id}: see `salepulse dead-letters list`")
    return newest


def _facts(letter: DeadLetter) -> dict[str, Any]:
    truncation = letter.truncation
    return {
        "id": letter.id,
        "topic": letter.topic,
        **({"broker_topic": letter.broker_topic} if letter.broker_topic else {}),
        "partition": letter.partition,
        "offset": letter.offset,
        "reason": letter.reason,
        "detail": letter.detail,
        "rejected_at": format_utc(letter.rejected_at_ms),
        "rejected_at_ms": letter.rejected_at_ms,
        "timestamp_ms": letter.timestamp_ms,
        "key": None if letter.key is None else letter.key.decode("utf-8", "backslashreplace"),
        "value_bytes": None if letter.value is None else len(letter.value),
        "headers": [name for name, _ in letter.headers],
        "truncated": truncation and {"value_bytes": truncation.size, "sha256": truncation.sha256},
        "last_offset": letter.last_offset,
    }


def _bytes(name: str, given: bytes | None) -> dict[str, str | None]:
    """Bytes for JSON: text if they are UTF-8, else `..._base64`."""
    try:
        return {name: None if given is None else given.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(given or b"").decode()}


def _printable(given: bytes) -> str:
    """Text that is safe on a terminal: control characters and invalid UTF-8 are escaped."""
    text = given.decode("utf-8", "backslashreplace")
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda match: f"\\x{ord(match[0]):02x}", text)
