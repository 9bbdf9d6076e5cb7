"""Generates the function that computes all numbers of a row: one per scope, twice as fast as a loop over formulas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from streams.dictionary.formula import LARGEST, Number, Operation, Reference
from streams.dictionary.types import Metric, Model

Sums: TypeAlias = Mapping[str, int]
Coded: TypeAlias = Mapping[str, tuple[tuple[str, ...], Callable[[Sums], Number]]]
"""# <metric that code computes: (names of the sums that it reads, the code)>"""


def generate_values(
    model: Model, scope: str, coded: Coded, only: frozenset[str] | None = None
) -> Callable[[Sums], dict[str, Number]]:
    """The function from the sums of a row in a scope to every number; None where one is missing or a denominator is 0.

    `only`: the metrics to compute; None: all. No text of a file is in its source: names are indexes into `names`.
    """
    chosen = [name for name in model.names if only is None or name in only or name not in model.metrics]
    return _Generator(model, scope, coded).function(chosen)


class _Generator:
    def __init__(self, model: Model, scope: str, coded: Coded) -> None:
        self._model = model
        self._scope = scope
        self._coded = coded
        self._names: list[str] = []
        self._variables: dict[str, str] = {}
        """# <name: variable that holds it>"""
        self._lines: list[str] = []
        self._added_so_far = 0

    def function(self, answered: Sequence[str]) -> Callable[[Sums], dict[str, Number]]:
        pairs = ", ".join(f"names[{self._name(name)}]: {self._variable(name)}" for name in answered)
        arguments = ", ".join(f"n{i}=names[{i}]" for i in range(len(self._names)))
        body = "\n    ".join(["get = sums.get", *self._lines, f"return {{{pairs}}}"])
        for i in reversed(range(len(self._names))):
            body = body.replace(f"names[{i}]", f"n{i}")
        scope: dict[str, Any] = {"names": self._names, "coded": {n: compute for n, (_, compute) in self._coded.items()}}
        exec(f"def values(sums, {arguments}):\n    {body}", scope)
        values: Callable[[Sums], dict[str, Number]] = scope["values"]
        return values

    def _name(self, name: str) -> int:
        if name not in self._names:
            self._names.append(name)
        return self._names.index(name)

    def _variable(self, name: str) -> str:
        """The variable of a name, computed if it is not yet; `None` where the scope lacks it."""
        if name not in self._variables:
            metric = self._model.metrics.get(name)
            if metric is not None and self._scope not in metric.scopes:
                self._variables[name] = "None"
            else:
                self._variables[name] = self._added(name, metric)
        return self._variables[name]

    def _added(self, name: str, metric: Metric | None) -> str:
        self._added_so_far += 1
        variable = f"v{self._added_so_far}"
        if metric is None:
            self._lines.append(f"{variable} = get(names[{self._name(name)}])")
        elif metric.formula is None:
            inputs = " and ".join(f"names[{self._name(read)}] in sums" for read in self._coded[name][0])
            self._lines.append(f"{variable} = coded[names[{self._name(name)}]](sums) if {inputs} else None")
        else:
            match metric.formula.root:
                case Operation("/", Reference(above), Reference(below)):
                    over, under = self._variable(above), self._variable(below)
                    self._lines.append(f"{variable} = {over} / {under} if {under} and {over} is not None else None")
                case _:
                    source = metric.formula.source(self._variable)
                    self._lines += [
                        "try:",
                        f"    {variable} = {source}",
                        f"    if not -{LARGEST} < {variable} < {LARGEST}: {variable} = None",
                        "except (ZeroDivisionError, OverflowError, TypeError):  # TypeError: a number is missing",
                        f"    {variable} = None",
                    ]
        return variable
