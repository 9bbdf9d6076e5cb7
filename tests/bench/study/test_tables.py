"""The table of the study."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bench.study.__main__ import calm_line, struck_line
from tests.bench.study.incidents import IncidentSpec
from tests.bench.study.tables import study_table


def incident(delay_s: float | None, money: float | None = 150.0) -> dict[str, Any]:
    return {
        "kind": "drop_orders",
        "size": 0.2,
        "labels": {"channel": "app"},
        "delay_s": delay_s,
        "bound_s": 12.0,
        "poisson_s": 40.0,
        "pages": int(delay_s is not None),
        "late": 0,
        "first": "order-drop",
        "named": delay_s is not None,
        "lost_per_minute": 100.0,
        "money": money,
    }


def struck(*incidents: dict[str, Any], pages: int = 1) -> dict[str, Any]:
    return {"part": "struck", "rate": 1000.0, "seed": 1, "pages": pages, "false": [], "incidents": [*incidents]}


def test_a_row_has_recall_delay_bounds_pages_names_and_money() -> None:
    lines = [struck(incident(30.0)), struck(incident(20.0, 900.0)), struck(incident(None), pages=0)]
    row = next(text for text in study_table(lines) if text.startswith("| drop_orders 20% app"))
    assert row == "| drop_orders 20% app | 1,000 | 3 | 67% | 30 s | 12 s | 40 s | 0.67 | 2/2 | 1/2 | 0 |"


def test_false_pages_have_a_confidence_interval_and_their_rules() -> None:
    page = {"series": 'order-drop{channel="app"}', "severity": "critical", "orders": 1.1}
    line = {"part": "calm", "shape": "plain", "rate": 200.0, "days": 0.5, "false": [page, page], "incidents": []}
    row = next(text for text in study_table([line]) if text.startswith("| plain"))
    assert row == "| plain | 200 | 0.50 | 2 | 4.0 (0.5 to 14.4) | 2 | 1.10 | order-drop 2 |"


@pytest.mark.slow
def test_a_calm_hour_and_an_hour_with_a_drop_can_be_played() -> None:
    calm = calm_line("plain", 200.0, 1, 0.2, every_table=True)
    assert calm["days"] == pytest.approx(0.2 / 24, rel=0.01)
    assert calm["false"] == []
    line = struck_line(1000.0, 1, (IncidentSpec("drop_orders", size=0.8, lasts_s=120),))
    (found,) = line["incidents"]
    assert found["delay_s"] < 30
    assert found["named"]
    assert len(list(study_table([calm, line]))) >= 7
