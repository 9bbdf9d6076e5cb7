"""Earlier sales of the same shop, and the sales of each promotion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from consumers.contract.decoding import decode_promotion
from consumers.contract.events import Promotion
from consumers.topics import Topic
from streams.simulate import Season, Simulation, SimulationConfig, SimulationError, write_season
from tests.streams.simulate.played import START_MS, amount, play, small

SMALL: dict[str, Any] = {"duration_s": 30, "rate": 600}


def announced(season: Season) -> list[Promotion]:
    """Promotions of all runs, in order of their messages."""
    messages = [message for batch in season.batches() for message in batch.messages if message[0] == Topic.PROMOTIONS]
    changes = [decode_promotion(key, value) for _, key, _, value in messages]
    return [change.promotion for change in changes]  # type: ignore[union-attr, misc]


class TestSeason:
    def test_each_sale_has_the_one_before_it_as_its_baseline(self) -> None:
        oldest, last, present = announced(Season(small(**SMALL), earlier=2))
        ids = ["sale-1-last-2", "sale-1-last-1", "sale-1"]
        assert [one.promotion_id for one in (oldest, last, present)] == ids
        assert [one.baseline for one in (oldest, last, present)] == [None, *ids[:2]]
        assert oldest.ends_at < last.starts_at < last.ends_at < present.starts_at

    def test_every_promotion_has_phases_targets_and_products(self) -> None:
        for promotion in announced(Season(small(**SMALL), earlier=1)):
            assert [phase.name for phase in promotion.phases or ()] == ["presale", "opening", "burst", "encore"]
            assert promotion.targets is not None
            assert 0 < promotion.targets.base < promotion.targets.sprint < promotion.targets.challenge
            assert len(promotion.skus or ()) == 200

    def test_sales_are_of_one_growing_shop(self) -> None:
        season = Season(small(**SMALL), earlier=1)
        (last,), present = season.earlier, season.present
        assert (last.world.catalog.price == present.world.catalog.price).all()
        assert last.config.rate == pytest.approx(present.config.rate / 1.25)

    def test_earlier_sales_do_not_change_the_present_one(self) -> None:
        alone, season = play(small(**SMALL)), Season(small(**SMALL), earlier=1)
        messages = [message for batch in season.batches() for message in batch.messages]
        events = [message for message in messages if message[2] >= START_MS and message[0] != Topic.PROMOTIONS]
        assert events == alone.messages[1:]

    def test_ids_of_the_sales_differ(self) -> None:
        values = [value for batch in Season(small(**SMALL), earlier=2).batches() for *_, value in batch.messages]
        events = [event for event in map(msgspec.json.decode, values) if "event_id" in event]
        assert len({event["event_id"] for event in events}) > 0.99 * len(events)

    def test_windows_up_to_15_minutes_never_hold_two_compressed_sales(self) -> None:
        season = Season(small(**SMALL), earlier=1)
        assert season.config.start_ms - season.earlier[0].config.end_ms >= 15 * 60_000

    def test_uncompressed_sales_are_whole_days_apart(self) -> None:
        season = Season(SimulationConfig.sized(rate=0.01, duration_s=8 * 3600, seed=1), earlier=2)
        starts = [run.config.start_ms for run in season.runs]
        assert [starts[2] - starts[1], starts[1] - starts[0]] == [86_400_000] * 2

    @pytest.mark.parametrize(("earlier", "start_ms"), [(-1, START_MS), (21, START_MS), (2, 1000)])
    def test_an_invalid_number_of_earlier_sales_is_rejected(self, earlier: int, start_ms: int) -> None:
        with pytest.raises(SimulationError):
            Season(small(**SMALL, start_ms=start_ms), earlier)

    def test_the_truth_of_each_sale_is_written(self, tmp_path: Path) -> None:
        season = Season(small(**SMALL), earlier=1)
        write_season(season, tmp_path)
        document = json.loads((tmp_path / "incidents.json").read_text())
        assert [run["truth"]["sold"]["promotion_id"] for run in document["earlier"]] == ["sale-1-last-1"]
        assert document["truth"]["sold"]["gmv"] == season.present.truth.sold.gmv > 0
        assert len((tmp_path / "promotions.ndjson").read_bytes().splitlines()) == 2
        assert season.messages == sum(run["truth"]["total"] for run in (document, *document["earlier"]))


class TestSold:
    def test_it_is_the_net_gmv_of_events_with_the_promotions_id_during_it(self) -> None:
        run = play(small(rate=1500))
        sold = run.truth.sold
        assert sold is not None
        assert (sold.starts_ms % 60_000, sold.ends_ms % 1000, sold.step_ms) == (0, 0, 1000)
        paid, refunded = (
            [one for one in run.of(kind, promotion_id="sale-1") if sold.starts_ms <= one["ts"] < sold.ends_ms]
            for kind in ("order_paid", "order_refunded")
        )
        assert sold.gmv == sum(map(amount, paid)) > 0
        assert sold.refunds == sum(one["refund_amount"] for one in refunded) > 0
        assert sum(sold.net_gmv) == sold.gmv - sold.refunds
        half = sold.starts_ms + 30_000
        by_then = sum(amount(one) for one in paid if one["ts"] < half)
        by_then -= sum(one["refund_amount"] for one in refunded if one["ts"] < half)
        assert sum(sold.net_gmv[:30]) == by_then

    def test_long_promotions_have_steps_of_a_minute(self) -> None:
        sold = Simulation(SimulationConfig.sized(rate=0.01, duration_s=8 * 3600, seed=1)).truth.sold
        assert sold is None, "nothing is counted before it is played"
        simulation = Simulation(SimulationConfig.sized(rate=0.01, duration_s=8 * 3600, seed=1))
        next(simulation.batches(60_000))
        assert simulation.truth.sold is not None
        assert simulation.truth.sold.step_ms == 60_000

    def test_without_a_promotion_there_are_no_sales(self) -> None:
        assert play(small(**SMALL, promotion=None)).truth.sold is None


class TestShipping:
    def test_parcels_of_a_compressed_sale_are_delivered_and_returned_within_it(self) -> None:
        run = play(small(rate=2000))
        promised = {one["order_id"]: one["promised_ts"] for one in run.of("shipment_dispatched")}
        delivered = {one["order_id"]: one["ts"] for one in run.of("shipment_delivered") if one["order_id"] in promised}
        late = [order for order, at in delivered.items() if at > promised[order]]
        assert len(delivered) > 0.4 * len(promised) > 100
        assert 0 < len(late) < 0.1 * len(delivered)
        assert run.count("shipment_delayed") > 0
        assert run.count("return_received") > 0
