"""A whole run: valid events, exact truth, equal bytes for equal seeds and any step."""

from __future__ import annotations

import time
from collections import Counter

import msgspec
import pytest

from consumers.contract.decoding import decode_batch, decode_promotion
from consumers.contract.rejection import RejectedMessage
from consumers.ndjson import key_from_routing, parse_routing_fields
from consumers.topics import EVENT_TOPICS, Topic
from streams.simulate import Simulation, SimulationConfig, SimulationError
from tests.streams.simulate.played import START_MS, amount, play, played, small


class TestDeterminism:
    def test_the_same_seed_gives_the_same_messages(self) -> None:
        config = small(duration_s=20, incidents=("conversion_drop@+5s/5s", "stockout@+8s/5s:top=3"))
        assert play(config).messages == play(config).messages

    def test_another_seed_gives_other_messages(self) -> None:
        assert play(small(duration_s=5)).messages != play(small(duration_s=5, seed=8)).messages

    @pytest.mark.parametrize("step_ms", [1, 77, 1000, 10_000_000])
    def test_the_step_changes_only_the_batches(self, step_ms: int) -> None:
        config = small(duration_s=10)
        assert play(config, step_ms).messages == play(config, 500).messages

    def test_batches_can_be_iterated_again(self) -> None:
        first, second = (list(Simulation(small(duration_s=3)).batches()) for _ in range(2))
        assert first == second


class TestBatches:
    def test_steps_follow_each_other_within_the_run(self) -> None:
        arrivals = [batch.arrival_ms for batch in played().batches]
        assert arrivals == sorted(set(arrivals))
        assert arrivals[0] == START_MS + 500
        assert arrivals[-1] <= played().config.end_ms

    def test_events_arrive_after_their_time_except_for_clock_skew(self) -> None:
        skew = played().config.disorder.skew_ms
        assert all(ts < batch.arrival_ms + skew for batch in played().batches for _, _, ts, _ in batch.messages)

    def test_event_times_lie_in_the_run(self) -> None:
        assert all(START_MS <= event["ts"] < START_MS + 60_000 + 40 for event in played().sent)

    def test_a_step_of_zero_is_rejected(self) -> None:
        with pytest.raises(SimulationError, match="step_ms is 0"):
            next(Simulation(small()).batches(0))


class TestContract:
    @pytest.mark.parametrize("topic", EVENT_TOPICS)
    def test_every_event_is_valid(self, topic: Topic) -> None:
        values = played("price_error@+20s/20s:size=0.01").values(topic)
        decoded = decode_batch(topic, values)
        assert decoded.rejected == []
        assert len(decoded.events) == len(values) > 1000

    def test_the_promotion_is_valid_and_comes_first(self) -> None:
        topic, key, ts, value = played().messages[0]
        change = decode_promotion(key, value)
        assert (topic, ts) == (Topic.PROMOTIONS, START_MS)
        assert not isinstance(change, RejectedMessage)
        assert change.promotion is not None
        assert [phase.name for phase in change.promotion.phases or ()] == ["presale", "opening", "burst", "encore"]

    def test_messages_are_keyed_per_contract(self) -> None:
        for topic, key, ts, value in played().messages:
            event = msgspec.json.decode(value)
            assert key == key_from_routing(Topic(topic), parse_routing_fields(value))
            assert topic == Topic.PROMOTIONS or ts == event["ts"]

    def test_every_type_occurs(self) -> None:
        long_enough = play(small(duration_s=60, rate=2000, compress=True, seed=3))
        missing = {kind for kind, count in long_enough.truth.events.items() if not count}
        assert missing <= {"return_received"}, "returns come days after delivery: they need more than a day"

    def test_returns_come_in_a_run_of_days(self) -> None:
        week = play(small(duration_s=7 * 86400, rate=0.2, skus=50, compress=False))
        assert week.count("return_received") > 0
        assert week.count("order_refunded", reason="returned") > 0


class TestTruth:
    def test_truth_counts_the_messages_sent(self) -> None:
        run, truth = played(), played().truth
        assert {kind: count for kind, count in truth.events.items() if count} == run.by_type
        assert truth.messages == Counter(topic for topic, *_ in run.messages if topic != Topic.PROMOTIONS)
        assert truth.total == len(run.messages)
        assert sum(truth.repeats.values()) == len(run.sent) - len(run.events)

    def test_truth_sums_the_money(self) -> None:
        run, truth = played(), played().truth
        assert truth.gmv == sum(map(amount, run.of("order_paid")))
        assert truth.refunds == sum(event["refund_amount"] for event in run.of("order_refunded"))
        assert truth.ad_cost == sum(event["cost"] for event in run.of("ad_click"))

    def test_ids_are_unique_among_topics(self) -> None:
        by_id = {event["event_id"]: event for event in played().events}
        assert all(by_id[event["event_id"]] == event for event in played().sent)


class TestVolume:
    def test_the_mean_rate_is_met(self) -> None:
        rates = []
        for seed in range(4):
            truth = play(small(seed=seed, rate=500)).truth
            rates.append((truth.total - truth.events["stock_level"]) / 60)
        assert sum(rates) / 4 == pytest.approx(500, rel=0.05)

    def test_a_shop_of_one_product_and_one_user_works(self) -> None:
        config = small(skus=1, users=1, rate=50, duration_s=5, producers=1, warehouses=("wh",), carriers=("c",))
        assert play(config).truth.total > 50

    def test_without_promotion_nothing_carries_one(self) -> None:
        run = play(small(promotion=None, duration_s=10))
        assert run.truth.promotions == 0
        assert not any("promotion_id" in event for event in run.sent)

    def test_a_sized_shop_follows_the_volume(self) -> None:
        config = SimulationConfig.sized(rate=1000, duration_s=60, seed=5)
        assert (config.skus, config.users, config.seed) == (1000, 20_000, 5)

    def test_it_is_far_faster_than_real_time(self) -> None:
        """The aim is 150,000 events/s; half of it is required, for busy machines."""
        begin = time.process_time()
        events = sum(len(batch.messages) for batch in Simulation(small(rate=5000)).batches())
        assert events / (time.process_time() - begin) > 75_000


class TestConfiguration:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"rate": 0}, "rate is 0"),
            ({"duration_s": float("nan")}, "duration_s is nan"),
            ({"duration_s": 0.5}, "at least 1 second"),
            ({"skus": 0}, "skus is 0"),
            ({"seed": -1}, "must not be negative"),
            ({"campaigns": ()}, "campaigns has 0 labels"),
            ({"regions": (('say "hi"', 1.0),)}, "no quotes"),
            ({"carriers": ("a", "a")}, "different ones"),
        ],
    )
    def test_an_invalid_configuration_is_rejected_with_the_reason(
        self, changes: dict[str, object], message: str
    ) -> None:
        with pytest.raises(SimulationError, match=message):
            small(**changes)
