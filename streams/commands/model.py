"""`salepulse model`: check a file of a model, show all that a model counts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consumers.commands.common import load_settings, report_errors, run
from consumers.errors import SalepulseError, UsageError
from consumers.validation_messages import how_many
from streams.commands.options import AsJson, RedisUrl
from streams.commands.output import print_json, print_note
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.dictionary.file import ReadModelFile
    from streams.dictionary.wire import CompiledWireModel

app = typer.Typer(help="Count numbers of your own.", no_args_is_help=True)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE.yaml", help="File of a model; see docs/model.md.")],
    as_json: AsJson = False,
) -> None:
    """Check a file of a model, and list all errors with their lines. Exits with 1 if it has one."""
    read = _read(file)
    model, own = read.model, read.definitions
    if model is None or own is None:
        if as_json:
            errors = [{"line": error.line, "message": error.message} for error in read.errors]
            print_json({"file": str(file), "valid": False, "errors": errors})
        for error in read.errors:
            print_note(f"{file}:{error.line}: {error.message}")
        raise typer.Exit(1)
    names = {
        "dimensions": [entry.name for entry in own.dimensions],
        "measures": [entry.name for entry in own.measures],
        "metrics": [entry.name for entry in own.metrics],
    }
    if as_json:
        fields = {topic: dict(types) for topic, types in model.own_fields.items()}
        print_json({"file": str(file), "valid": True, "errors": [], "fields": fields, **names})
        return
    for section, found in names.items():
        if found:
            typer.echo(f"{section}: {', '.join(found)}")
    counts = [how_many(len(found), section.removesuffix("s")) for section, found in names.items()]
    typer.echo(f"{file} is valid: {', '.join(counts)}")


@app.command()
def show(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE.yaml", help="File of a model; default: the built-in model.")
    ] = None,
    stored: Annotated[bool, typer.Option("--stored", help="Show the model of the workers, from Redis.")] = False,
    redis_url: RedisUrl = None,
) -> None:
    """Print everything that a model counts as YAML, the built-in part too."""
    from streams.dictionary.showing import yaml_of
    from streams.model.loading import load_model

    settings = load_settings(Settings, redis_url=redis_url)
    with report_errors():
        if stored and file is not None:
            raise UsageError("the model of a file, or of the workers: remove --stored")
        if not stored:
            loaded = load_model(file, exponent=settings.money_exponent)
            typer.echo(yaml_of(loaded.model, loaded.definitions), nl=False)
            return
    found = run(_stored(settings))
    for _path, fault in found.faults:
        print_note(f"left out, because another release of salepulse wrote it: {fault}")
    typer.echo(yaml_of(found.model, found.definitions), nl=False)


async def _stored(settings: Settings) -> CompiledWireModel:
    from streams.dictionary.wire import WireError, from_wire
    from streams.store.connection import Access, open_store
    from streams.store.worker_setup import SetupStore

    async with open_store(settings, Access.READ) as (redis, keys):
        setup = await SetupStore(redis, keys).read()
    if setup is None:
        raise SalepulseError("no worker has stored a model in this Redis: start one")
    try:
        return from_wire(setup.model, generation=setup.generation)
    except WireError as error:
        raise SalepulseError(str(error)) from None


def _read(file: Path) -> ReadModelFile:
    from streams.dictionary.file import read_model_file
    from streams.model.loading import read_text

    exponent = load_settings(Settings).money_exponent
    with report_errors():
        return read_model_file(read_text(file), exponent=exponent)
