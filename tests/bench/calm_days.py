"""A calm day over all default rules: every rule has its inputs, and no incident occurs.

The simulator's own events, counted and seen as live but in memory: clicks and orders of a shop that is over-dispersed
as in the other parts of the study, ads of two campaigns, stock of every SKU that lasts, parcels (2 % of which are
dispatched after more than 48 h), targets, refunds and cancellations, late and repeated messages, and one message in
2,000 that breaks the contract. A promotion begins with the day that counts and opens at 20:00.

Parcels are due after 48 h, so two days come before it that are counted only: of clicks those on ads, for comparison
with the day before, and all in the last hour and a half. The rules learn from the last hour.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from alerts.rehearsal.play import play
from alerts.rehearsal.rehearsal import Rehearsal
from alerts.rehearsal.sources import Arrival, simulated
from alerts.rules.loader import default_text, load
from alerts.shop import ShopInfo
from alerts.wording.sentences import sentence
from consumers.commands.common import load_settings
from consumers.topics import Topic
from streams.settings import Settings
from streams.simulate import PromotionPlan, SimulatedPhase, SimulationConfig
from streams.simulate.config import Funnel, StockPlan

CASE = "calm, all rules"
DAY_S, HOUR_MS = 86_400, 3_600_000
AHEAD_DAYS = 2
OPENS_S = round(4.8 * 3600)
"""After 15:12, when the day begins."""
RATE = 20.0
EVERY_S = 60
BROKEN_EVERY = 2000
NEVER = {
    "input-lagging": "nothing lags in memory",
    "incomplete-history": "no records are lost in memory",
}
"""<rule: why it has no input here>; both are tested on real servers"""


def calm_day(seed: int, midnight_ms: int) -> dict[str, Any]:
    """A day from 15:12 on: its pages, all of them false, and in how many evaluations each rule could judge anything."""
    config = _shop(seed, midnight_ms)
    from_ms = config.start_ms + AHEAD_DAYS * DAY_S * 1000
    rules = load(default_text(), "default").rules
    rehearsal = Rehearsal(load_settings(Settings), rules, every_s=EVERY_S, from_ms=from_ms - HOUR_MS)
    played = play(rules, rehearsal.snapshots(_messages(config, from_ms)), from_ms=from_ms)
    missing = [rule.name for rule in rules.rules if not played.judged[rule.name] and rule.name not in NEVER]
    assert not missing, f"these rules had nothing to look at: {', '.join(missing)}"
    return {
        "case": CASE,
        "seed": seed,
        "days": round(played.days, 2),
        "looks": played.evaluations,
        "judged": {rule.name: played.judged[rule.name] for rule in rules.rules},
        "false": [
            f"{(page.fired_ms - from_ms) / HOUR_MS:.1f} h: {page.series} {sentence(page.finding, ShopInfo())}"
            for page in played.pages
        ],
        "paged": [page.series.rule for page in played.pages],
    }


def _shop(seed: int, midnight_ms: int) -> SimulationConfig:
    whole_s = (AHEAD_DAYS + 1) * DAY_S
    begins, opens = AHEAD_DAYS * DAY_S / whole_s, (AHEAD_DAYS * DAY_S + OPENS_S) / whole_s
    return SimulationConfig(
        seed=seed,
        rate=RATE,
        duration_s=whole_s,
        start_ms=midnight_ms + round(15.2 * HOUR_MS),
        compress=False,
        users=100_000,
        skus=400,
        campaigns=("search-ads", "social-video"),
        funnel=Funnel(campaign=0.2, call_off=0.05, partial_refund=0.03),
        stock=StockPlan(cover=40.0, short=0),
        promotion=PromotionPlan(
            phases=(SimulatedPhase("presale", begins, opens), SimulatedPhase("opening", opens, 1.0, 1.2, 6.0)), skus=50
        ),
    )


def _messages(config: SimulationConfig, from_ms: int) -> Iterator[Arrival]:
    for number, message in enumerate(simulated(config).messages):
        is_early = message.at_ms < from_ms - 3 * HOUR_MS // 2
        if message.topic is Topic.CLICKS and is_early and b'"ad_click"' not in message.value:
            continue
        yield message
        if number % BROKEN_EVERY == 0 and message.topic is not Topic.PROMOTIONS:
            yield message._replace(value=message.value[:-9])


def table(lines: list[dict[str, Any]]) -> Iterator[str]:
    """What each rule could judge and how often it paged, in Markdown; then the rules that had nothing to look at."""
    looks, days = sum(line["looks"] for line in lines), sum(line["days"] for line in lines)
    judged = {name: sum(line["judged"][name] for line in lines) for name in lines[0]["judged"]}
    pages = [rule for line in lines for rule in line["paged"]]
    yield f"\nAll default rules, {days:.1f} calm days, {looks:,} evaluations:\n"
    yield "| rule | judged | of all evaluations | pages |"
    yield "| --- | --: | --: | --: |"
    for name, many in judged.items():
        yield f"| `{name}` | {many:,} | {many / looks:.0%} | {pages.count(name)} |"
    if never := [f"`{name}` ({NEVER[name]})" for name, many in judged.items() if not many]:
        yield f"\nnever judged: {', '.join(never)}"
