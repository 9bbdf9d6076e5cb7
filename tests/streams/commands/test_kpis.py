"""`salepulse kpis --compare`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.streams.shop import CLICKS_0, ORDERS_0, opened
from tests.support.events import click, paid, promotion
from tests.support.salepulse import failure, salepulse

pytestmark = pytest.mark.anyio

DAY_S = 86_400


async def sold(redis_url: str) -> tuple[str, ...]:
    """Twice as much as at the last sale, a day before. Flags that read it."""
    async with opened(redis_url) as shop:
        await shop.feed(ORDERS_0, [paid(at=at, channel="app", promotion_id="last") for at in (10, 90)])
        await shop.feed(ORDERS_0, [paid(at=DAY_S + at, channel="app", promotion_id="this") for at in (10, 20, 30, 40)])
        await shop.feed(CLICKS_0, [click(at=DAY_S + 100)])
        await shop.announce(promotion("last"), promotion("this", starts=DAY_S, ends=2 * DAY_S, baseline="last"))
    return "--redis-url", redis_url, "--clock", "event", "--retain", "all"


async def test_one_value_prints_a_row_per_kpi(redis_url: str, tmp_path: Path) -> None:
    flags = await sold(redis_url)
    done = salepulse("kpis", "--window", "promotion", "--compare", "baseline", *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (gmv,) = [line.split() for line in done.stdout.splitlines() if line.split()[:1] == ["gmv"]]
    assert gmv == ["gmv", "40.00", "20.00", "20.00", "+100.0", "%"]
    assert "compared with baseline" in done.stderr
    assert "promotion last" in done.stderr


async def test_a_scope_prints_a_row_per_value(redis_url: str, tmp_path: Path) -> None:
    flags = await sold(redis_url)
    done = salepulse("kpis", "--scope", "channel", "--window", "5m", "--compare", "yesterday", *flags, cwd=tmp_path)
    assert "40.00 (+100.0 %)" in done.stdout


async def test_json_equals_the_answer_of_the_api(redis_url: str, tmp_path: Path) -> None:
    flags = await sold(redis_url)
    done = salepulse("kpis", "--window", "5m", "--compare", "yesterday", "--json", *flags, cwd=tmp_path)
    facts = json.loads(done.stdout)
    assert [facts[side]["gmv"] for side in ("values", "compared", "difference", "ratio")] == [4000, 2000, 2000, 2.0]
    assert facts["then"] == {"as_of": facts["as_of"] - 1000 * DAY_S, "offset_ms": 1000 * DAY_S, "promotion": None}


async def test_a_missing_baseline_exits_with_2(redis_url: str, tmp_path: Path) -> None:
    flags = await sold(redis_url)
    code, line = failure("kpis", "--compare", "baseline", "--promotion", "last", *flags, cwd=tmp_path)
    assert (code, "'last' has no baseline" in line) == (2, True)
