"""`salepulse sources`: check a file of sources, try it on samples, find a ready file for samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consumers.commands.common import load_settings, report_errors
from consumers.errors import SalepulseError, UsageError
from consumers.validation_messages import how_many
from streams.commands.options import AsJson
from streams.commands.output import print_json, print_note
from streams.settings import Settings

if TYPE_CHECKING:
    from consumers.sources.loading import LoadedSources
    from consumers.sources.samples import SampleResult
    from consumers.sources.source import CompiledSource
    from consumers.unpacking.record import MessageHeaders

app = typer.Typer(help="Read topics in your own format.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(metavar="FILE.yaml", help="File of sources; see docs/sources.md.")]
Samples = Annotated[
    list[Path],
    typer.Argument(
        metavar="SAMPLE...",
        help="Files of messages in JSON: one after the other, or a list of objects; with a registry's frame, one each",
    ),
]
Headers = Annotated[
    list[str] | None,
    typer.Option("--header", metavar="NAME=VALUE", help="A header of the sample messages; may be repeated."),
]


@app.command()
def check(file: File, as_json: AsJson = False) -> None:
    """Check a file of sources, and import its functions. Exits with 2 if it has an error."""
    with report_errors():
        loaded = _load(file)
    facts = [{"topic": source.topic, "feeds": list(source.feeds)} for source in loaded.file.sources]
    if as_json:
        print_json({"sources": facts})
    else:
        for source in loaded.file.sources:
            typer.echo(f"{source.topic}: {source.format}, feeds {', '.join(source.feeds)}")
        typer.echo(f"{file} is valid: {how_many(len(facts), 'source')}")


@app.command("try")
def try_(
    file: File,
    samples: Samples,
    topic: Annotated[str | None, typer.Option(help="The topic of the samples, if the file has several.")] = None,
    header: Headers = None,
    as_json: AsJson = False,
) -> None:
    """Show the events that each sample message makes, or why it makes none. Exits with 1 if a sample is refused."""
    from consumers.sources.samples import try_sample

    with report_errors():
        loaded = _load(file)
        source = _source_of(loaded, topic)
        headers = _headers(header)
        messages = [
            (f"{path}:{number}", value)
            for path in samples
            for number, value in enumerate([_content(path)] if source.is_framed else _read(path), 1)
        ]
        if source.needs_schemas:
            _load_schemas(loaded, [value for _, value in messages])
    results = [(name, try_sample(source, value, headers)) for name, value in messages]
    for name, result in results:
        if as_json:
            print_json({"sample": name, **_facts(result)})
        else:
            _print(name, result)
    refused = sum(bool(result.reason) for _, result in results)
    if not as_json:
        print_note(f"{how_many(len(results), 'message')} of {source.topic}: {refused} refused")
        _print_early(event for _, result in results for event in result.events)
    if refused:
        raise typer.Exit(1)


@app.command()
def suggest(samples: Samples, header: Headers = None) -> None:
    """Print the ready file that fits the samples best. Exits with 1 if none fits."""
    from consumers.sources.ready import ready_files
    from consumers.sources.samples import fit, is_json

    with report_errors():
        values = [value for path in samples for value in _read(path)]
        headers = _headers(header)
        exponent = load_settings(Settings).money_exponent
        best: tuple[int, str, str] = (0, "", "")
        for ready in ready_files():
            fits = sum(fit(source, values, headers) for source in ready.compiled(exponent))
            best = max(best, (fits, ready.name, ready.text), key=lambda entry: entry[0])
        if not best[0]:
            if not any(value is None or is_json(value) for value in values):
                raise UsageError("the samples are not JSON: save messages in JSON, without the frame of a registry")
            names = ", ".join(ready.name for ready in ready_files())
            raise SalepulseError(
                f"no ready file makes events of these {how_many(len(values), 'message')}; there are files for {names}. "
                "Write a map of your own: see docs/sources.md"
            )
    print_note(f"{best[1]} makes events of {best[0]} of {how_many(len(values), 'message')}; change the topics' names")
    typer.echo(best[2], nl=False)


def _load(file: Path) -> LoadedSources:
    from consumers.sources.inputs import compose_inputs
    from consumers.sources.loading import load_sources

    settings = load_settings(Settings)
    loaded = load_sources(file, exponent=settings.money_exponent)
    compose_inputs(settings.topic_names, loaded.file, loaded.by_topic, str(file))  # as workers do
    return loaded


def _load_schemas(loaded: LoadedSources, values: Sequence[bytes | None]) -> None:
    import asyncio

    loader = loaded.schema_loader
    assert loader is not None, "the file check requires a registry"
    asyncio.run(loader.load(loader.missing(values, 0), 0))


def _source_of(loaded: LoadedSources, topic: str | None) -> CompiledSource:
    names = ", ".join(loaded.by_topic)
    if topic is None and len(loaded.by_topic) > 1:
        raise UsageError(f"the file has several sources: name the topic of the samples with --topic, one of {names}")
    name = next(iter(loaded.by_topic)) if topic is None else topic
    if name not in loaded.by_topic:
        raise UsageError(f"the file has no source for topic {name}: it has {names}")
    return loaded.by_topic[name]


def _read(path: Path) -> Sequence[bytes | None]:
    from consumers.sources.samples import split_samples

    values = split_samples(_content(path))
    if not values:
        raise UsageError(f"sample {path} is empty: it needs one message or more")
    return values


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"sample {path} cannot be read: {error.strerror}") from None


def _headers(given: Sequence[str] | None) -> MessageHeaders:
    headers = []
    for text in given or ():
        name, separator, value = text.partition("=")
        if not separator:
            raise UsageError(f"--header {text}: write NAME=VALUE")
        headers.append((name, value.encode()))
    return headers


def _facts(result: SampleResult) -> dict[str, object]:
    if result.reason:
        return {"reason": result.reason, "detail": result.detail}
    if result.passed_over is not None:
        return {"passed_over": result.passed_over.value}
    return {"events": list(result.events)}


def _print_early(events: Iterable[Mapping[str, Any]]) -> None:
    """Note times of which the unit is probably wrong."""
    from consumers.contract.rejection_hints import EPOCH_SECONDS

    early = [event for event in events if event["ts"] < EPOCH_SECONDS.stop]
    if early:
        print_note(
            f"{how_many(len(early), 'event')} of 1970, such as {early[0]['event_id']} with `ts` {early[0]['ts']} in "
            "milliseconds: correct the `time` of the field (s, ms, us or iso)"
        )


def _print(name: str, result: SampleResult) -> None:
    import json

    if result.reason:
        typer.echo(f"{name}: refused, {result.reason}: {result.detail}")
    elif result.passed_over is not None:
        typer.echo(f"{name}: passed over, {result.passed_over}")
    for event in result.events:
        typer.echo(f"{name}: {json.dumps(event, ensure_ascii=False)}")
