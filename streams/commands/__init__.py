"""The sub-commands of this package, one file for each group of them."""

from __future__ import annotations

import typer

from streams.commands import (
    demo,
    doctor,
    incomplete,
    kpis,
    model,
    promotions,
    replay,
    roles,
    settings,
    simulate,
    sources,
    tokens,
    up,
)

app = typer.Typer()
for part in (roles, up, demo, replay, simulate, kpis, settings, doctor):
    app.registered_commands += part.app.registered_commands
app.add_typer(promotions.app, name="promotions")
app.add_typer(incomplete.app, name="incomplete")
app.add_typer(tokens.app, name="tokens")
app.add_typer(sources.app, name="sources")
app.add_typer(model.app, name="model")
