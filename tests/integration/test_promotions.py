"""Promotions end to end: from a file and from the simulator, while a worker counts and a server answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from consumers.contract.events import Promotion
from consumers.kafka.producer import OutgoingMessage
from consumers.times import format_local_time
from consumers.topics import Topic
from streams.commands.root import create_app
from streams.simulate import Season, SimulatedSales, SimulationConfig
from tests.support.servers import Server
from tests.support.stack import Shop, stack
from tests.support.wait import eventually

pytestmark = pytest.mark.slow

START_MS = 1_762_776_000_000
NAME, LAST = "sale-1", "sale-1-last-1"


def get_promotion(shop: Shop, promotion: str = NAME, **query: int) -> dict[str, Any]:
    """A promotion in the API."""
    answer = httpx.get(f"{shop.api.url}/api/v1/promotions/{promotion}", params=query, timeout=30)
    assert answer.status_code == HTTPStatus.OK, answer.text
    return dict(answer.json())


def apply(shop: Shop, folder: Path, definition: Mapping[str, Any]) -> dict[str, Any]:
    """Write a definition as a file with local times, and apply it; returns the command's JSON."""
    zone = definition["timezone"]

    def written(given: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: format_local_time(at, zone) if name in ("starts_at", "ends_at") else at for name, at in given.items()
        }

    phases = [written(phase) for phase in definition["phases"]]
    path = folder / "sale.yaml"
    path.write_text(json.dumps({**written(definition), "phases": phases}))  # JSON is YAML
    return command(shop, "apply", str(path))


def command(shop: Shop, *arguments: str) -> dict[str, Any]:
    asked = ["promotions", *arguments, "--json", "--bootstrap", shop.settings.bootstrap]
    done = CliRunner().invoke(create_app(), asked)
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.stdout))


def sold_between(sold: SimulatedSales, start_ms: int, end_ms: int) -> int:
    """Net GMV of a part of a promotion, in steps of 1 s."""
    first, last = ((at - sold.starts_ms) // sold.step_ms for at in (start_ms, end_ms))
    return sum(sold.net_gmv[max(0, first) : last])


@pytest.fixture
def season() -> Season:
    """Two sales of two minutes, half an hour apart."""
    config = SimulationConfig.sized(rate=400, duration_s=120, seed=11, start_ms=START_MS)
    return Season(config, earlier=1)


def test_a_running_promotion_is_tracked_and_corrected(
    embedded_broker: Server, redis_server: Server, season: Season, tmp_path: Path
) -> None:
    with stack(embedded_broker, redis_server, partitions=2, compact_every_s=2) as shop:
        messages = [message for batch in season.batches() for message in batch.messages]
        shop.send(OutgoingMessage(Topic(topic), key, value) for topic, key, _, value in messages)
        shop.until_counted()
        sold = season.present.truth.sold
        assert sold is not None
        definition = Promotion.model_validate(get_promotion(shop)["definition"]).model_dump(mode="json")

        final = get_promotion(shop)
        assert (final["state"], final["values"]["net_gmv"]) == ("ended", sum(sold.net_gmv))
        assert final["forecast"] == {
            **dict.fromkeys(("expected", "low", "high"), sum(sold.net_gmv)),
            "as_of": final["as_of"],
            "basis": "final",
            "earlier": [],
        }
        for moment in (60_000, 84_000, 100_000):
            then = get_promotion(shop, as_of=START_MS + moment)
            assert then["values"]["net_gmv"] == sold_between(sold, sold.starts_ms, START_MS + moment)
            assert (then["forecast"]["basis"], then["forecast"]["earlier"]) == ("earlier", [LAST])
            assert 0.6 < then["forecast"]["expected"] / sum(sold.net_gmv) < 1.6, "the forecast follows the last sale"

        starts_ms, ends_ms = START_MS + 60_000, START_MS + 90_000
        changed = {
            **definition,
            "starts_at": starts_ms,
            "ends_at": ends_ms,
            "phases": [{"name": "flash", "starts_at": starts_ms, "ends_at": starts_ms + 10_000}],
            "targets": {"base": 1_000, "sprint": 2_000_000, "challenge": 2_000_000},
            "skus": ["s-00006", "s-00007"],
        }
        shop.kill_worker()
        result = apply(shop, tmp_path, changed)
        assert [one["outcome"] for one in result["promotions"]] == ["changed"]
        shop.start_worker()
        eventually(
            lambda: get_promotion(shop)["definition"]["skus"] == changed["skus"],
            within_s=60,
            what="the change is visible",
        )
        corrected = get_promotion(shop)
        net_gmv = sold_between(sold, starts_ms, ends_ms)
        assert corrected["values"]["net_gmv"] == net_gmv
        attained = [one["attainment"] for one in corrected["targets"]]
        assert attained == [net_gmv / 1_000, net_gmv / 2_000_000, net_gmv / 2_000_000]
        assert [one["probability"] for one in corrected["targets"]] == [float(share >= 1) for share in attained]
        then = get_promotion(shop, as_of=starts_ms + 5_000)
        assert (then["phase"]["name"], then["elapsed_fraction"]) == ("flash", 5 / 30)
        assert then["values"]["net_gmv"] == sold_between(sold, starts_ms, starts_ms + 5_000)

        assert command(shop, "apply", "--delete", NAME)["promotions"][0]["outcome"] == "deleted"
        path = f"{shop.api.url}/api/v1/promotions/{NAME}"
        eventually(
            lambda: httpx.get(path).status_code == HTTPStatus.NOT_FOUND, within_s=30, what="the promotion is deleted"
        )
        scope = {"window": "24h", "scope": "promotion", "value": NAME}
        kept = httpx.get(f"{shop.api.url}/api/v1/kpis", params=scope, timeout=30).json()
        assert kept["values"]["gmv"] >= sold.gmv, "its events remain"

        result = apply(shop, tmp_path, definition)
        assert [one["outcome"] for one in result["promotions"]] == ["added"]
        eventually(lambda: httpx.get(path).status_code == HTTPStatus.OK, within_s=30, what="the promotion is restored")
        assert get_promotion(shop)["values"]["net_gmv"] == sum(sold.net_gmv)
        listed = command(shop, "list", "--as-of", str(START_MS + 70_000))["promotions"]
        assert [one["promotion_id"] for one in listed] == [LAST, NAME]
        assert [one["phase"] for one in listed] == [None, "burst"]
