"""The tables of the study."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bench.study.__main__ import calm_line, default_rules, struck_line
from tests.bench.study.cases import Sale
from tests.bench.study.tables import study_table
from tests.bench.study.truth import IncidentSpec


def incident(delay_s: float | None, money: float | None = 150.0) -> dict[str, Any]:
    return {
        "kind": "drop_orders",
        "size": 0.2,
        "labels": {"channel": "app"},
        "delay_s": delay_s,
        "bound_s": 12.0,
        "poisson_s": 40.0,
        "delayed_s": 18.0,
        "pages": int(delay_s is not None),
        "late": 0,
        "first": "order-drop",
        "named": delay_s is not None,
        "open_to_end": delay_s is not None,
        "closed_after_s": None if delay_s is None else 90.0,
        "lost_per_minute": 100.0,
        "money": money,
    }


def struck(*incidents: dict[str, Any], pages: int = 1, group: str = "drift") -> dict[str, Any]:
    return {
        "part": "struck",
        "group": group,
        "shape": "plain",
        "rate": 1000.0,
        "pages": pages,
        "false": [],
        "incidents": [*incidents],
    }


def row(lines: list[dict[str, Any]], begins: str) -> str:
    return next(text for text in study_table(lines) if text.startswith(begins))


def test_a_row_has_what_is_reported_delay_bound_pages_names_money_and_end() -> None:
    lines = [struck(incident(30.0)), struck(incident(20.0, 900.0)), struck(incident(None), pages=0)]
    assert row(lines, "| drop orders") == (
        "| drop orders 20 % app | 1,000 | 3 | 2 | 30 s | 12 s | 0.67 | 2/2 | 1/2 (× 5.25) | 2/2 | 90 s | 0 |"
    )


def test_drops_have_a_row_for_each_size_and_part() -> None:
    lines = [struck(incident(delay_s), group="drops") for delay_s in (30.0, 20.0, None)]
    assert row(lines, "| 20 %") == "| 20 % app | 30 s / 18 s / 12 s (2 of 3 reported) |"
    assert row(lines[:2], "| 20 %") == "| 20 % app | 20 s, 30 s / 18 s / 12 s |"
    assert row(lines[1:], "| 20 %") == "| 20 % app | 20 s, never / 18 s / 12 s |"


def test_what_falls_short_is_named() -> None:
    assert row([struck(incident(24.0))], "\nNot").endswith("drop orders 20 % app (1,000/min: 24 s).")
    assert row([struck(incident(None))], "\nNot").endswith("drop orders 20 % app (1,000/min: 0 of 1, never).")
    assert not [text for text in study_table([struck(incident(23.0))]) if "Not" in text]


def test_of_two_the_delays_of_both_are_given() -> None:
    line = struck(incident(12.0), {**incident(20.0), "size": 0.4}, group="two")
    assert row([line], "| drop orders 20 % app |") == "| drop orders 20 % app |  | 12 s / 20 s |"


def test_false_pages_have_a_confidence_interval_and_their_rules() -> None:
    page = {"series": 'order-drop{channel="app"}', "severity": "critical", "orders": 1.1}
    line = {
        "part": "calm",
        "shape": "plain",
        "rate": 200.0,
        "days": 0.5,
        "pages": 2,
        "false": [page, page],
        "incidents": [],
    }
    assert row([line], "| plain") == "| plain | 1 | 2 | 4.0 (0.5 to 14.4) | 2 | 1.10 | order-drop 2 |"
    assert "1 days of 12.0 h: 20.00 false pages in ten such days (95 %: 2.42 to 72.25)" in row([line], "\n1 ")


def test_a_calm_time_and_a_drop_can_be_played() -> None:
    rules = default_rules()
    few = rules.model_copy(
        update={"rules": tuple(rule for rule in rules.rules if rule.name in ("order-drop", "stock-out"))}
    )
    calm = calm_line("plain", 200.0, 1, 0.05, every_table=True, rules=few)
    assert calm["days"] == pytest.approx(0.05 / 24, rel=0.1)
    assert calm["false"] == []
    sale = Sale((IncidentSpec("drop_orders", 660, size=0.8, lasts_s=60),), hours=0.2)
    line = struck_line("drops", 0, 1000.0, 1, sale, few)
    (found,) = line["incidents"]
    assert found["delay_s"] < 30
    assert found["named"]
    assert len([*study_table([calm, line])]) >= 7
