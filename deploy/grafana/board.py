"""Shared parts of dashboards: variables, links to the others, phases of promotions as annotations."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from deploy.grafana.panels import DATASOURCE, Panel, Panels
from deploy.grafana.queries import of, top
from deploy.grafana.words import Text

TAG = "salepulse"
WINDOWS = ("1m", "5m", "15m", "1h", "24h", "day", "promotion")
PART_WINDOWS = ("5m", "promotion")
"""The windows that parts of the shop have on /metrics."""


class Board:
    """Builder of a dashboard, row by row."""

    def __init__(self, panels: Panels, uid: str, title: Text, about: Text, *, span: str = "now-1h") -> None:
        self._panels = panels
        self._made = (
            dashboard.Dashboard(f"salepulse: {panels.text(title)}")
            .uid(uid)
            .description(panels.text(about))
            .tags([TAG])
            .readonly()
            .tooltip(DashboardCursorSync.CROSSHAIR)
            .time(span, "now")
            .timezone("browser")
            .refresh("5s")
            .link(
                dashboard.DashboardLink(panels.text(Text("All dashboards", "全部看板")))
                .type(DashboardLinkType.DASHBOARDS)
                .tags([TAG])
                .include_vars(True)
                .keep_time(True)
                .placement("")
            )
            .annotation(_phases(panels))
            .with_variable(_datasource())
            .with_variable(_servers("job", "Job", "label_values(salepulse_ready, job)"))
            .with_variable(_servers("instance", "Instance", 'label_values(salepulse_ready{job=~"$job"}, instance)'))
        )

    def choice(self, name: str, label: Text, values: Sequence[str], chosen: str) -> Board:
        """A variable of given values."""
        made = dashboard.CustomVariable(name).label(self._panels.text(label)).values(",".join(values))
        options = [VariableOption(text=value, value=value, selected=value == chosen) for value in values]
        current = VariableOption(text=chosen, value=chosen, selected=True)
        self._made = self._made.with_variable(made.options(options).current(current))
        return self

    def found(self, name: str, label: Text, selector: str, metric_label: str, *, several: bool = False) -> Board:
        """A variable over the values of a label; `several`: multiple choice, all by default."""
        query = f"label_values({selector}, {metric_label})"
        made = _query(name, self._panels.text(label), query)
        if several:
            everything = VariableOption(text="All", value="$__all", selected=True)
            # .* rather than .+ also matches the series of the remaining values, whose label is empty
            made = made.multi(True).include_all(True).all_value(".*").current(everything)
        self._made = self._made.with_variable(made)
        return self

    def row(self, title: Text, *panels: Panel) -> Board:
        """A titled row."""
        self._made = self._made.with_row(dashboard.Row(self._panels.text(title)))
        for panel in panels:
            self._made = self._made.with_panel(panel)
        return self

    def first(self, *panels: Panel) -> Board:
        """Panels above all rows."""
        for panel in panels:
            self._made = self._made.with_panel(panel)
        return self

    def build(self) -> Dashboard:
        """The dashboard, with unique panel ids."""
        made = self._made.build()
        for number, panel in enumerate(made.panels or (), 1):
            panel.id_val = number
        return made


def _datasource() -> dashboard.DatasourceVariable:
    return dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")


def _query(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .query({"query": query, "refId": "StandardVariableQuery", "qryType": 1})
        .definition(query)
        .datasource(DATASOURCE)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )


def _servers(name: str, label: str, query: str) -> dashboard.QueryVariable:
    everything = VariableOption(text="All", value="$__all", selected=True)
    return _query(name, label, query).multi(True).include_all(True).all_value(".+").current(everything)


def _phases(panels: Panels) -> dashboard.AnnotationQuery:
    """An annotation over the time of each phase."""
    return (
        dashboard.AnnotationQuery()
        .name(panels.text(Text("Phases of promotions", "大促阶段")))
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color("purple")
        .expr(top("promotion, phase", of("promotion_phase")))
        .title_format("{{promotion}}")
        .text_format("{{phase}}")
        .tag_keys("promotion,phase")
        .step("30s")
    )
