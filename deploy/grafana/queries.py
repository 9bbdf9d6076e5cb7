"""PromQL. All servers expose the same KPIs, so every query first takes the maximum over instances."""

from __future__ import annotations

SERVERS = 'job=~"$job", instance=~"$instance"'
"""The selected servers."""
PROCESSES = 'job=~"$job"'
"""All processes: the series of workers and of alerts processes differ, and are summed."""
RATE = "$__rate_interval"
REST = "(rest)"
"""Legend of values without their own series; the label `rest` distinguishes it from a value of that name."""


def of(metric: str, *matchers: str) -> str:
    """A selector: a metric without its `salepulse_`, with matchers such as `topic="orders"`."""
    return f"salepulse_{metric}{{{', '.join((SERVERS, *matchers))}}}"


def of_processes(metric: str, *matchers: str) -> str:
    """A selector of a metric of workers or of alerts processes."""
    return f"salepulse_{metric}{{{', '.join((PROCESSES, *matchers))}}}"


def top(by: str, selector: str) -> str:
    """The maximum over servers, by labels such as `topic, partition`; all in one without any."""
    return f"max by ({by}) ({selector})" if by else f"max({selector})"


def kpi(name: str, *, window: str = "$window", scope: str = "all", by: str = "", value: str = "") -> str:
    """A KPI or counter of the shop: of scope `all`, or of a scope's values, by `value`.

    `value`: a matcher of values, such as `=~"$value"`.
    """
    matchers = (f'window="{window}"', f'scope="{scope}"', *([f"value{value}"] if value else []))
    return top(by, of(name, *matchers))


def values_and_rest(name: str, *, window: str = "$window", scope: str, value: str = "") -> str:
    """A KPI of each value of a scope, by `value`, and of the sum of values without their own series."""
    each = kpi(name, window=window, scope=scope, by="value, rest", value=value)
    return f'label_replace({each}, "value", "{REST}", "rest", "true")'


def promoted(name: str) -> str:
    """A KPI of the selected promotion, since its start."""
    return kpi(name, window="promotion", scope="promotion", value='="$promotion"')


def baseline(name: str) -> str:
    """A KPI of the baseline of the selected promotion, at the same elapsed time."""
    return top("", of("promotion_baseline", 'promotion="$promotion"', f'kpi="{name}"'))


def rate(counter: str, *matchers: str, by: str) -> str:
    """The per-second rate of a counter, by labels."""
    return top(by, f"rate({of(counter, *matchers)}[{RATE}])")


def process_rate(counter: str, *, by: str = "") -> str:
    """The per-second rate of a counter of all processes, by labels; all in one without any."""
    each = f"rate({of_processes(counter)}[{RATE}])"
    return f"sum by ({by}) ({each})" if by else f"sum({each})"


def quantile(q: float, histogram: str, *, by: str = "") -> str:
    """A quantile over all processes, by labels that their histogram has."""
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({q}, {process_rate(f'{histogram}_bucket', by=labels)})"


def or_zero(query: str) -> str:
    """The query, or 0 if it returns nothing: for series that exist only during a fault."""
    return f"{query} or vector(0)"
