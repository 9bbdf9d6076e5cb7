"""`salepulse alerts test`: send test messages through each receiver."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated

import typer

from consumers.commands.common import load_settings, report_errors
from consumers.errors import SalepulseError, UsageError
from streams.commands.options import AsJson
from streams.commands.output import print_json, print_table
from streams.settings import Settings

if TYPE_CHECKING:
    from alerts.notify.outcome import Outcome

app = typer.Typer()


@app.command("test")
def send_test_messages(
    names: Annotated[list[str] | None, typer.Argument(metavar="RECEIVER...", help="By default all of them.")] = None,
    as_json: AsJson = False,
) -> None:
    """Send a firing test alert and its end through each receiver, and report the outcomes."""
    from alerts.notify.outcome import Failed
    from alerts.settings import load_receivers

    settings = load_settings(Settings)
    with report_errors():
        file = load_receivers(settings)
        known = [receiver.name for receiver in file.receivers]
        if not known:
            raise UsageError("there are no receivers: name their file in SALEPULSE_ALERTS_RECEIVERS")
        if unknown := sorted(set(names or ()) - set(known)):
            raise UsageError(f"there is no receiver {unknown[0]!r}; known: {', '.join(known)}")
        outcomes = asyncio.run(_send(settings, names or known))
        failed = {name: outcome for name, outcome in outcomes.items() if isinstance(outcome, Failed)}
        if as_json:
            print_json(
                {
                    "receivers": [
                        {
                            "name": name,
                            "arrived": name not in failed,
                            **({"fault": failed[name].fault, "detail": failed[name].detail} if name in failed else {}),
                        }
                        for name in outcomes
                    ]
                }
            )
        else:
            rows = [
                (name, f"{failed[name].fault}: {failed[name].detail}" if name in failed else "arrived")
                for name in outcomes
            ]
            print_table(("receiver", "test"), rows, styles=("bold",))
        if failed:
            raise SalepulseError(f"{len(failed)} of {len(outcomes)} receivers did not take the message")


async def _send(settings: Settings, names: list[str]) -> dict[str, Outcome]:
    from alerts.notify.http import Http
    from alerts.notify.outcome import Failed
    from alerts.notify.receivers import build_receivers
    from alerts.notify.sample_messages import sample_messages
    from alerts.settings import load_receivers, shop_info

    file = load_receivers(settings)
    async with Http(file.networks) as http:
        receivers = build_receivers(file, http)

        async def both(name: str) -> Outcome:
            for message in sample_messages(name, shop_info(settings), int(time.time() * 1000)):
                outcome = await receivers[name].notifier.send(message)
                if isinstance(outcome, Failed):
                    break
            return outcome

        return dict(zip(names, await asyncio.gather(*map(both, names)), strict=True))
