"""The age of the data: the first tile of every dashboard."""

from __future__ import annotations

from deploy.grafana.panels import Line, Panel, Panels, low_is_good
from deploy.grafana.queries import of
from deploy.grafana.words import Text

TO_PIPELINE = (Text("Pipeline", "链路健康"), "/d/salepulse-pipeline")
_INCOMPLETE = of("incomplete_since_seconds", 'topic!="promotions"')


def age(panels: Panels) -> Panel:
    """The tile. Of several servers, the most current one counts."""
    return panels.tile(
        Text("Age of the data", "数据延迟"),
        Text(
            "How far the newest numbers are behind the clock. Green: live. Red or no data: nothing here is now. "
            "Where events were lost before they were counted: incomplete since when.",
            "最新数字落后时钟多久。绿色为实时;红色或无数据时,此页并非当前情况。若有事件在计数前丢失,则显示自何时起不完整。",
        ),
        Line(f"min({of('as_of_age_seconds')})", ""),
        "s",
        steps=low_is_good(15, 60),
        decimals=0,
        link=TO_PIPELINE,
        moment=Line(
            f"1000 * min({_INCOMPLETE})",
            Text("incomplete since", "自此时起不完整"),
        ),
    )
