"""The panel types of the dashboards, each with a unit and a description."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from grafana_foundation_sdk.builders import bargauge, common, dashboard, gauge, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    DataSourceRef,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.dashboard import Panel as PanelModel
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.grafana.words import Language, Text

DATASOURCE = DataSourceRef(type_val="prometheus", uid="$datasource")
NO_DATA = Text("no data", "无数据")
GREEN, YELLOW, RED, GREY = "green", "yellow", "red", "text"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

Panel = Builder[PanelModel]
Made = stat.Panel | gauge.Panel | bargauge.Panel | timeseries.Panel | table.Panel

MONEY_UNITS = {
    # Grafana has no unit for the yuan; its yen has the same sign.
    "CNY": "currencyJPY",
    **{code: f"currency{code}" for code in ("USD", "EUR", "GBP", "JPY", "KRW", "INR", "IDR", "BRL", "VND")},
}
"""Grafana's currency units; other currencies are shown by their code."""


@dataclass(frozen=True, slots=True)
class Line:
    """A query and its legend: a text, or a pattern such as `{{topic}}`."""

    query: str
    name: Text | str


@dataclass(frozen=True, slots=True)
class Steps:
    """Colours by value: the first below the first bound, and so on."""

    colours: tuple[str, ...]
    bounds: tuple[float, ...]

    def thresholds(self) -> dashboard.ThresholdsConfig:
        """The Grafana thresholds."""
        bounds: tuple[float | None, ...] = (None, *self.bounds)
        steps = [Threshold(value=bound, color=colour) for bound, colour in zip(bounds, self.colours, strict=True)]
        return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


PLAIN = Steps((GREY,), ())


def low_is_good(warn: float, bad: float) -> Steps:
    """Green below `warn`, red from `bad`."""
    return Steps((GREEN, YELLOW, RED), (warn, bad))


def high_is_good(bad: float, warn: float) -> Steps:
    """Red below `bad`, green from `warn`."""
    return Steps((RED, YELLOW, GREEN), (bad, warn))


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: a query that gives a number for each label, or a label itself."""

    name: Text
    query: str
    unit: str
    steps: Steps = PLAIN


@dataclass(frozen=True, slots=True)
class Panels:
    """Builds panels in one language and currency."""

    language: Language
    currency: str
    money: str = field(init=False)
    """Grafana's unit of money."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "money", MONEY_UNITS.get(self.currency, f"currency:{self.currency} "))

    def text(self, text: Text | str) -> str:
        """The text in the language of this build."""
        return text if isinstance(text, str) else text.in_(self.language)

    def tile(
        self,
        title: Text,
        about: Text,
        line: Line,
        unit: str,
        *,
        steps: Steps = PLAIN,
        width: int = 4,
        decimals: float | None = None,
        words: dict[str, tuple[Text, str]] | None = None,
        link: tuple[Text, str] | None = None,
        moment: Line | None = None,
    ) -> Panel:
        """One number, large, with its colour. `words`: a text and a colour instead of some values; `moment`: a time in
        ms, in red beside it, which is there only when something is wrong."""
        made = (
            stat.Panel()
            .color_mode(BigValueColorMode.VALUE if steps is PLAIN else BigValueColorMode.BACKGROUND)
            .graph_mode(BigValueGraphMode.NONE)
            .text_mode(BigValueTextMode.VALUE)
            .reduce_options(_last())
        )
        if words:
            options = {
                value: ValueMappingResult(text=self.text(text), color=colour, index=i)
                for i, (value, (text, colour)) in enumerate(words.items())
            }
            made = made.mappings([ValueMap(options=options)])
        if decimals is not None:
            made = made.decimals(decimals)
        if link:
            made = made.links([dashboard.DashboardLink(self.text(link[0])).url(link[1])])
        if moment:
            shown = Steps((RED,), ()).thresholds().build()
            look = [DynamicConfigValue("unit", "dateTimeAsIso"), DynamicConfigValue("thresholds", shown)]
            made = made.text_mode(BigValueTextMode.AUTO).override_by_name(self.text(moment.name), look)
        return self._filled(made, title, about, [line, moment] if moment else [line], unit, steps, width, 5)

    def dial(self, title: Text, about: Text, lines: Sequence[Line], unit: str, *, steps: Steps, width: int) -> Panel:
        """A few shares as dials, from 0 to 1."""
        made = gauge.Panel().min(0).max(1).reduce_options(_last()).orientation(VizOrientation.AUTO)
        return self._filled(made, title, about, lines, unit, steps, width, 8)

    def bars(
        self,
        title: Text,
        about: Text,
        lines: Sequence[Line],
        unit: str,
        *,
        steps: Steps = PLAIN,
        width: int = 8,
        height: int = 8,
    ) -> Panel:
        """A bar for each result, one below the other."""
        made = (
            bargauge.Panel()
            .min(0)
            .orientation(VizOrientation.HORIZONTAL)
            .display_mode(BarGaugeDisplayMode.BASIC)
            .reduce_options(_last())
        )
        return self._filled(made, title, about, lines, unit, steps, width, height)

    def trend(
        self,
        title: Text,
        about: Text,
        lines: Sequence[Line],
        unit: str,
        *,
        width: int = 12,
        height: int = 8,
        stacked: bool = False,
        link: tuple[Text, str] | None = None,
    ) -> Panel:
        """Lines over time. `link`: target of a line; `${__field.labels.value}` is its label."""
        legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
        made = (
            timeseries.Panel()
            .line_width(2)
            .fill_opacity(60 if stacked else 0)
            .show_points(VisibilityMode.NEVER)
            .stacking(common.StackingConfig().mode(StackingMode.NORMAL if stacked else StackingMode.NONE))
            .legend(legend.show_legend(True).calcs(["lastNotNull"]))
            .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
        )
        if link:
            made = made.data_links([dashboard.DashboardLink(self.text(link[0])).url(link[1])])
        return self._filled(made, title, about, lines, unit, PLAIN, width, height)

    def rows(
        self,
        title: Text,
        about: Text,
        key: tuple[str, Text],
        columns: Sequence[Column],
        *,
        width: int = 24,
        height: int = 9,
        link: tuple[Text, str] | None = None,
        ascending: bool = False,
    ) -> Panel:
        """A row for each value of a label, `key`, sorted by the first column."""
        label, key_name = key
        names = {f"Value #{letter}": self.text(column.name) for letter, column in zip(LETTERS, columns, strict=False)}
        if len(columns) == 1:
            names = {"Value": self.text(columns[0].name), **names}
        made = table.Panel().with_transformation(DataTransformerConfig(id_val="merge", options={}))
        made = made.with_transformation(
            DataTransformerConfig(
                id_val="organize",
                options={
                    "excludeByName": {"Time": True, "rest": True},
                    "renameByName": {label: self.text(key_name), **names},
                },
            )
        )
        made = made.sort_by([common.TableSortByFieldState().display_name(names["Value #A"]).desc(not ascending)])
        for column in columns:
            look = [DynamicConfigValue(id_val="unit", value=column.unit)]
            if column.steps is not PLAIN:
                look += [
                    DynamicConfigValue(id_val="thresholds", value=column.steps.thresholds().build()),
                    DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}),
                ]
            made = made.override_by_name(self.text(column.name), look)
        if link:
            url = {"title": self.text(link[0]), "url": link[1]}
            made = made.override_by_name(self.text(key_name), [DynamicConfigValue(id_val="links", value=[url])])
        described = self._described(made, title, about, "short", PLAIN, width, height)
        for letter, column in zip(LETTERS, columns, strict=False):
            query = self._query(Line(column.query, ""), letter).format(PromQueryFormat.TABLE).instant()
            described = described.with_target(query)
        return described

    def _filled(
        self,
        made: Made,
        title: Text,
        about: Text,
        lines: Sequence[Line],
        unit: str,
        steps: Steps,
        width: int,
        height: int,
    ) -> Panel:
        made = self._described(made, title, about, unit, steps, width, height)
        for letter, line in zip(LETTERS, lines, strict=False):
            query = self._query(line, letter)
            # Panels about the present use an instant query: a range query would keep showing the last value.
            made = made.with_target(query if isinstance(made, timeseries.Panel) else query.instant())
        return made

    def _described(
        self, made: Made, title: Text, about: Text, unit: str, steps: Steps, width: int, height: int
    ) -> Made:
        made = made.title(self.text(title)).description(self.text(about)).datasource(DATASOURCE).unit(unit)
        return made.thresholds(steps.thresholds()).no_value(self.text(NO_DATA)).span(width).height(height)

    def _query(self, line: Line, letter: str) -> prometheus.Dataquery:
        query = prometheus.Dataquery().expr(line.query).ref_id(letter).datasource(DATASOURCE)
        return query.legend_format(self.text(line.name)) if line.name else query


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
