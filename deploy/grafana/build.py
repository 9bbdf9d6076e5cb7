"""All dashboards, as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.boards import drill_down, pipeline, shipping, stock, war_room
from deploy.grafana.panels import Panels
from deploy.grafana.words import Language

BOARDS: dict[str, Callable[[Panels], Dashboard]] = {
    "war-room": war_room.build,
    "drill-down": drill_down.build,
    "stock": stock.build,
    "shipping": shipping.build,
    "pipeline": pipeline.build,
}
"""By the name of the file."""


def written(language: Language, currency: str = "CNY") -> dict[str, str]:
    """The JSON of every dashboard, by the name of its file."""
    panels = Panels(language, currency)
    return {
        name: json.dumps(build(panels), cls=JSONEncoder, indent=1, ensure_ascii=False) + "\n"
        for name, build in BOARDS.items()
    }
