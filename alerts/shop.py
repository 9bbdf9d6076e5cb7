"""The shop, and the URLs of its charts and runbooks."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlencode

from alerts.findings import Finding
from alerts.state.alert import AlertState, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopInfo:
    """The shop's addresses, time zone and currency."""

    url: str = ""
    """URL of `salepulse serve`; empty: no links."""
    runbooks: str = ""
    """Base URL of relative runbooks."""
    timezone: str = "UTC"
    currency: str = "CNY"
    currency_exponent: int = 2


def chart_url(alert: AlertState, shop: ShopInfo) -> str | None:
    """URL of the alert's chart, which extends to now until the alert resolves; None without a chart or `shop.url`."""
    finding = alert.finding
    chart = finding.chart
    if chart is None or not shop.url:
        return None
    parameters = {
        "series": chart.name,
        "window": chart.window.value,
        "scope": chart.scope,
        "value": chart.value,
        "start": str(chart.start_ms),
        "end": str(chart.end_ms) if alert.status is Status.RESOLVED else "",
        "since": str(finding.since_ms or ""),
    }
    return f"{shop.url.rstrip('/')}/?{urlencode({name: text for name, text in parameters.items() if text})}"


def runbook_url(finding: Finding, shop: ShopInfo) -> str | None:
    """URL of the runbook; None without a runbook, or for a relative one without `shop.runbooks`."""
    if finding.runbook.startswith(("https://", "http://")):
        return quote(finding.runbook, safe="/:?#[]@!$&'()*+,;=%~-._")
    if finding.runbook and shop.runbooks:
        return f"{shop.runbooks.rstrip('/')}/{quote(finding.runbook.lstrip('/'), safe='/#')}"
    return None
