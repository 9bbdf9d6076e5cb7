"""The JSON of the dashboards."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

from deploy.grafana.words import Language
from tests.deploy.files import DEPLOY

FOLDER = DEPLOY / "grafana" / "dashboards"
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\{([^{}]*)\}")
_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


@dataclass(frozen=True, slots=True)
class Target:
    """One query of a panel."""

    board: str
    panel: str
    expression: str

    @property
    def selectors(self) -> list[tuple[str, dict[str, tuple[str, str]]]]:
        """Metric name and matchers, `{label: (operator, value)}`, of each selector."""
        return [
            (name, {label: (sign, value) for label, sign, value in _MATCHER.findall(inner)})
            for name, inner in _SELECTOR.findall(self.expression)
        ]


@cache
def board(name: str, language: Language = Language.EN) -> Any:
    """One dashboard."""
    return json.loads((FOLDER / language / f"{name}.json").read_text())


def names() -> list[str]:
    """All dashboards, by the names of their files."""
    return sorted(path.stem for path in (FOLDER / Language.EN).glob("*.json"))


def panels(made: Any) -> list[Any]:
    """All panels with data, in order."""
    return [panel for panel in made["panels"] if panel["type"] != "row"]


def targets(name: str) -> list[Target]:
    """All queries of a dashboard's panels."""
    return [
        Target(name, panel["title"], target["expr"]) for panel in panels(board(name)) for target in panel["targets"]
    ]


def variables(name: str) -> dict[str, Any]:
    """A dashboard's variables, by name."""
    return {held["name"]: held for held in board(name)["templating"]["list"]}


def choices(name: str) -> Iterator[dict[str, str]]:
    """Every choice of a dashboard's variables of given values."""
    given = {held: v["query"].split(",") for held, v in variables(name).items() if v["type"] == "custom"}
    for chosen in product(*given.values()):
        yield dict(zip(given, chosen, strict=True))


def filled(expression: str, values: Mapping[str, str]) -> str:
    """A query with its variables replaced, as Grafana sends it. Fails for an unknown variable."""
    return _VARIABLE.sub(lambda found: values[found[1] or found[2]], expression)
