"""Real Prometheus and Alertmanager with a shop: rules are evaluated, panels have data, series are bounded."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator, Mapping

import msgspec
import pytest

from consumers.kafka.producer import OutgoingMessage, send_all
from consumers.topics import Topic
from streams.clock import now_ms
from streams.local.embedded.ports import free_port
from streams.model.kpis import NAMES
from streams.serve.gauges import metric_name
from streams.settings import Settings
from tests.deploy.boards import Target, board, choices, filled, names, targets, variables
from tests.deploy.composed import health
from tests.deploy.files import alert_rules, recorded
from tests.deploy.scene import Scene, scene
from tests.support.wait import eventually

pytestmark = pytest.mark.slow

MILLION = 1_000_000
LABELS = ("channel", "region", "category", "campaign", "live_room", "variant")


@pytest.fixture(scope="module")
def shop() -> Iterator[Scene]:
    """One for all tests of this file."""
    with scene() as made:
        live = "salepulse_promotion_baseline and on (job) salepulse_as_of_age_seconds < 20"
        eventually(lambda: made.prometheus.ask(live), within_s=90, what="a sale beside its baseline, as it is now")
        yield made


def test_every_target_is_up(shop: Scene) -> None:
    ours = {("salepulse", role) for role in ("serve", "worker", "alerts")}

    def up() -> set[tuple[str, str]]:
        targets = [dict(labels) for labels, value in shop.prometheus.ask("up").items() if value]
        return {(labels["job"], labels.get("role", "")) for labels in targets}

    eventually(lambda: up() == ours | {("prometheus", ""), ("alertmanager", "")}, within_s=30, what="all are up")


def test_every_rule_is_evaluated(shop: Scene) -> None:
    def evaluated() -> list[str]:
        groups = shop.prometheus.get("/api/v1/rules")["groups"]
        return [rule["name"] for group in groups for rule in group["rules"] if rule["health"] != "ok"]

    eventually(lambda: not evaluated(), within_s=30, what="all rules are well")
    eventually(lambda: not [name for name in recorded() if not shop.prometheus.ask(name)], within_s=30)


def test_every_panel_of_every_dashboard_has_data(shop: Scene) -> None:
    targets = dict.fromkeys(_asked(shop))
    since = "min(salepulse_incomplete_since_seconds{"
    only_after_loss = [one for one in targets if since in one.expression]
    assert only_after_loss
    missing = [one for one in targets if one not in only_after_loss]

    def all_have() -> bool:
        missing[:] = [one for one in missing if not shop.prometheus.ask(one.expression)]
        return not missing

    try:
        eventually(all_have, within_s=60, every_s=1)
    except AssertionError:
        pytest.fail("\n".join(map(str, missing)))
    shown = [one for one in only_after_loss if shop.prometheus.ask(one.expression)]
    assert not shown, "no record of this shop was lost"


def test_every_variable_has_values_and_phases_are_marked(shop: Scene) -> None:
    for name in names():
        assert all(_values(shop, name).values())
        (phases,) = board(name)["annotations"]["list"]
        found = shop.prometheus.ask(filled(phases["expr"], _values(shop, name)))
        assert {dict(labels)["phase"] for labels in found} <= {"burst", "encore"}
        assert found


def test_the_watchdog_reaches_its_receiver(shop: Scene) -> None:
    heartbeats = eventually(lambda: shop.received("/heartbeat"), within_s=40, what="a heartbeat")
    assert heartbeats[0]["alerts"][0]["labels"]["alertname"] == "SalepulseWatchdog"
    paged = {alert["labels"]["alertname"] for message in shop.received("/page") for alert in message["alerts"]}
    assert not paged & set(alert_rules()), "nothing else is wrong with the pipeline"


@pytest.mark.parametrize(("service", "port"), [("prometheus", 9090), ("alertmanager", 9093)])
def test_health_checks_of_the_compose_file_find_progress(shop: Scene, service: str, port: int) -> None:
    server = {"prometheus": shop.prometheus, "alertmanager": shop.alertmanager}[service]
    shell = health(service)
    here = [*shell[:-1], shell[-1].replace(f":{port}", f":{server.port}")]
    nowhere = [*shell[:-1], shell[-1].replace(f":{port}", f":{free_port()}")]
    eventually(lambda: subprocess.run(here, check=False).returncode == 0, within_s=30, every_s=1, what=" ".join(here))
    assert subprocess.run(nowhere, check=False, capture_output=True).returncode != 0


def test_a_million_label_values_do_not_exceed_the_series_budget(shop: Scene) -> None:
    budget = Settings.model_fields["series_budget"].default
    _flood(shop, "first", 5_000)
    first = eventually(lambda: _series(shop), within_s=30, what="a scrape")  # one that fails takes all series away
    _flood(shop, "second", MILLION // len(LABELS))
    second = eventually(lambda: _series(shop), within_s=30, what="a scrape")
    assert second <= first * 1.02, "a million values are no more series than thousands"
    assert max(first, second) <= budget
    eventually(lambda: (shop.prometheus.one("salepulse_as_of_age_seconds") or 99) < 5, within_s=120, what="it is live")
    up = 'up{job="salepulse",role="serve"}'
    eventually(lambda: shop.prometheus.one(up) == 1, within_s=30, what="the scrape is within its limits")


def _asked(shop: Scene) -> Iterator[Target]:
    """Every query of every panel, under every choice of the variables of given values."""
    for name in names():
        values = _values(shop, name)
        for chosen in choices(name):
            for target in targets(name):
                yield Target(name, target.panel, filled(target.expression, values | chosen))


def _values(shop: Scene, name: str) -> Mapping[str, str]:
    """Values of a dashboard's variables as it opens, with those of queries asked for."""
    held = {"__rate_interval": "10s"}
    for variable in variables(name).values():
        if variable["type"] == "custom":
            held[variable["name"]] = variable["current"]["value"]
        elif variable["type"] == "query":
            selector, label = variable["query"]["query"].removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
            found = shop.prometheus.get(f"/api/v1/label/{label}/values", **{"match[]": filled(selector, held)})
            assert found, variable["name"]
            held[variable["name"]] = ".+" if variable.get("includeAll") else sorted(found)[0]
    return held


def _flood(shop: Scene, name: str, many: int) -> None:
    """Send clicks with unique values in every label; return once a scrape reports them as dropped."""
    at_ms = now_ms()

    def clicks() -> Iterator[OutgoingMessage]:
        for i in range(many):
            mine = f"{name}-{i}"
            event = {"event_id": mine, "type": "page_view", "ts": at_ms, "user_id": f"u{i}", "session_id": "s"}
            yield OutgoingMessage(Topic.CLICKS, mine.encode(), msgspec.json.encode(event | dict.fromkeys(LABELS, mine)))

    left_out = _left_out(shop)
    asyncio.run(send_all(f"127.0.0.1:{shop.up.kafka_port}", clicks()))
    many_series = 0.9 * many * len(LABELS) * len(NAMES)
    eventually(lambda: _left_out(shop) > left_out + many_series, within_s=180, every_s=0.5, what="all are left out")


def _left_out(shop: Scene) -> float:
    return shop.prometheus.one(f'sum(salepulse_series_dropped{{scope=~"{"|".join(LABELS)}"}})') or 0


def _series(shop: Scene) -> float:
    kpis = "|".join(metric_name(name) for name in NAMES)
    return shop.prometheus.one(f'count({{__name__=~"{kpis}"}})') or 0
