"""Compiles the metrics of a file."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from streams.dictionary.definitions import MetricDefinition
from streams.dictionary.faults import DependentError, UnfitError, joined, near_miss
from streams.dictionary.formula import Formula, FormulaError, parse_formula
from streams.dictionary.types import Dimension, Metric, ModelMeasure, Unit


class _CircleError(UnfitError):
    """Metrics that need each other."""


class MetricCompiler:
    """Compiles metrics in the order of their dependence, whatever their order in the file.

    `entries`: # <name: (index in the file, entry)>. Names of `broken` numbers have a fault of their own.
    """

    def __init__(
        self,
        measures: Mapping[str, ModelMeasure],
        dimensions: Mapping[str, Dimension],
        entries: Mapping[str, tuple[int, MetricDefinition]],
        broken: Collection[str],
    ) -> None:
        self.compiled: dict[str, Metric] = {}
        self._measures = {name: measure for measure in measures.values() for name in measure.answers}
        self._dimensions = dimensions
        self._entries = entries
        self._broken = broken
        self._path: list[str] = []

    def get(self, name: str) -> Metric:
        """The metric of this name, compiled with those that it needs.

        Raises:
            UnfitError: its formula has a fault.
            DependentError: it needs a number with a fault.
        """
        if name in self.compiled:
            return self.compiled[name]
        if self._path and name == self._path[0]:
            raise _CircleError(f"the formula needs itself: {' -> '.join([*self._path, name])}", "formula")
        if name in self._path or name in self._broken:
            raise DependentError
        self._path.append(name)
        try:
            metric = self.compiled[name] = self._compile(self._entries[name][1])
        except UnfitError as error:
            if len(self._path) > 1 and not isinstance(error, _CircleError):
                raise DependentError from error  # reported when it is this one's turn
            raise
        finally:
            self._path.pop()
        return metric

    def _compile(self, entry: MetricDefinition) -> Metric:
        formula = None if entry.source else _parse(entry.formula)
        inputs: dict[str, None] = {}
        scopes, units, since = set(self._dimensions), set(), [0]
        for name in formula.names if formula else ():
            used = self._input(name)
            scopes &= used.scopes
            units.add(used.unit)
            since.append(used.since_ms or 0)
            is_formula = isinstance(used, Metric) and used.formula is not None
            inputs.update(dict.fromkeys(used.inputs if isinstance(used, Metric) and is_formula else (name,)))
        if formula and not formula.names:
            raise UnfitError("the formula has no name: a constant is no metric", "formula")
        if not scopes:
            raise UnfitError(f"no dimension has all of {joined(list(inputs))}: they never occur together", "formula")
        return Metric(
            name=entry.name,
            formula=formula,
            inputs=tuple(inputs),
            scopes=self._chosen(entry, scopes),
            unit=entry.unit or _unit(formula, units),
            good=entry.good,
            about=entry.about,
            source=entry.source,
            since_ms=max(since) or None,
        )

    def _input(self, name: str) -> ModelMeasure | Metric:
        if name in self._measures:
            return self._measures[name]
        if name in self.compiled or name in self._entries:
            return self.get(name)
        if name in self._broken:
            raise DependentError
        if f"{name}_p50" in self._measures:
            raise UnfitError(f"`{name}` has quantiles: write `{name}_p50`, `_p90`, `_p95` or `_p99`", "formula")
        known = [*self._measures, *self.compiled, *self._entries]
        raise UnfitError(f"there is no number `{name}`{near_miss(name, known)}", "formula")

    def _chosen(self, entry: MetricDefinition, possible: set[str]) -> frozenset[str]:
        for i, scope in enumerate(entry.scopes or ()):
            if scope not in self._dimensions:
                raise UnfitError(f"there is no dimension `{scope}`{near_miss(scope, self._dimensions)}", "scopes", i)
            if scope not in possible:
                raise UnfitError(f"the formula has no value in `{scope}`: remove it from `scopes`", "scopes", i)
        return frozenset(entry.scopes or possible)


def _parse(text: str) -> Formula:
    try:
        return parse_formula(text)
    except FormulaError as error:
        raise UnfitError(f"`formula`: {error}", "formula") from None


def _unit(formula: Formula | None, units: set[Unit]) -> Unit:
    """The unit of a sum of numbers with one unit; else ratio."""
    is_sum = formula is not None and formula.weights() is not None
    return units.pop() if is_sum and len(units) == 1 else Unit.RATIO
