"""Tables of the alert study."""

from __future__ import annotations

from tests.bench import calm_days
from tests.bench.alert_study import CASES, bound_s, quantile, table

DROP = CASES[0]


def line(delay_s: float | None, *, pages: int = 1, before: int = 0) -> dict[str, object]:
    return {"case": DROP.name, "delay_s": delay_s, "pages": ["p"] * pages, "before": ["b"] * before, "days": 0.05}


def test_a_row_has_the_detected_share_and_the_delay() -> None:
    lines = [*(line(float(second)) for second in range(1, 20)), line(None, pages=0)]
    row = next(text for text in table(lines) if text.startswith(f"| {DROP.name}"))
    assert row == f"| {DROP.name} | 20 | 19 | 10 s | 19 s | inf s | {bound_s(DROP):.1f} s | 60 s | 0.95 |"


def test_false_pages_are_counted_over_all_calm_time() -> None:
    calm = [{"case": "calm", "days": 1.0, "false": ["x"] * many} for many in (0, 1, 0)]
    lines = [text.strip() for text in table([*calm, line(30.0, before=1)]) if "false pages" in text]
    assert lines[0].startswith("calm days: 3.0 days, 1 false pages, 0.33 a day (at most 1.6")
    assert "1 false pages" in lines[1]


def test_undetected_incidents_have_infinite_delay() -> None:
    assert quantile([1.0, float("inf")], 0.5) == 1.0
    assert quantile([1.0, float("inf")], 0.95) == float("inf")


def test_calm_days_report_the_evaluated_share_of_each_rule() -> None:
    judged = {"stock-out": 1440, "input-lagging": 0}
    days = [
        {"case": calm_days.CASE, "days": 1.0, "looks": 1440, "judged": judged, "false": false, "paged": false}
        for false in ([], ["stock-out"])
    ]
    lines = list(table(days))
    assert any(text.startswith("\ncalm days, all rules: 2.0 days, 1 false pages") for text in lines)
    assert "| `stock-out` | 2,880 | 100% | 1 |" in lines
    assert lines[-1] == "\nnever judged: `input-lagging` (nothing lags in memory)"
