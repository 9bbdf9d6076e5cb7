"""A subscriber gets every event once, or a gap event."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from redis.exceptions import ConnectionError as RedisDown
from redis.exceptions import RedisClusterException
from structlog.testing import capture_logs

from streams.model.windows import Window
from streams.panes.scopes import Scope
from streams.serve import broadcast as broadcasts
from streams.serve import changes, stream
from streams.serve.app import create_app
from streams.serve.broadcast import Broadcast
from streams.serve.errors import ApiError
from streams.serve.sse import StreamPosition, parse_event_id
from streams.serve.stream import SseSubscriber
from streams.settings import Settings
from streams.view.cached_queries import CachedQuery, EachValueQuery, EncodedAnswer, OneValueQuery
from streams.view.query import KpiQuery
from tests.streams.serve.conftest import soon
from tests.streams.serve.following import Event, Log, events
from tests.streams.serve.shop import CLICKS, LOGISTICS, ORDERS, Shop, at, click, paid

pytestmark = pytest.mark.anyio

ASK = OneValueQuery(KpiQuery(Window.M1, Scope.ALL, None, None), "")
OTHER = OneValueQuery(KpiQuery(Window.M5, Scope.ALL, None, None), "")


@pytest.fixture
async def broadcast(open_shop: Shop, settings: Settings) -> AsyncIterator[Broadcast]:
    """The broadcast of an app that is at second 60."""
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        made: Broadcast = app.state.broadcast
        made.alerts = None  # tests relay a log of their own
        await reached(made, 60)
        yield made


async def reached(broadcast: Broadcast, second: int) -> None:
    async def so() -> bool:
        return broadcast.live.snapshot.as_of_ms == at(second)

    await soon(so)
    await asyncio.sleep(0)  # callbacks of the view's thread have run


async def move(shop: Shop, broadcast: Broadcast, second: int) -> None:
    """Advance the as-of."""
    await shop.send(CLICKS, click(second, user="u9"))
    await shop.send(ORDERS, paid(second, 500, f"u{second}"))
    await shop.send(LOGISTICS, {"type": "shipment_dispatched", "ts": at(second), "order_id": "o-u2"})
    await reached(broadcast, second)


async def new_events(of: SseSubscriber) -> list[Event]:
    return events("".join([received.decode() async for received in of.new_events()]))


def kpis(received: list[Event]) -> list[float]:
    """Seconds of the as-ofs of `kpis` events."""
    return [(one.data["as_of"] - at(0)) / 1000 for one in received if one.name == "kpis"]


def seconds(gap: Event) -> tuple[str, float, float]:
    return gap.data["of"], (gap.data["after"] - at(0)) / 1000, (gap.data["before"] - at(0)) / 1000


class TestNumbers:
    async def test_a_subscriber_gets_the_newest_answer_and_each_new_as_of(
        self, open_shop: Shop, broadcast: Broadcast
    ) -> None:
        one = SseSubscriber(broadcast, ASK, None)
        first = await new_events(one)
        assert kpis(first) == [60]
        assert (first[0].data["values"]["gmv"], first[0].data["window"], first[0].data["live"]) == (1300, "1m", True)
        assert await new_events(one) == []
        for second in (61, 62):
            await move(open_shop, broadcast, second)
            assert kpis(await new_events(one)) == [second]
            assert await new_events(one) == []

    async def test_late_events_cause_no_new_kpis_event(self, open_shop: Shop, broadcast: Broadcast) -> None:
        one = SseSubscriber(broadcast, ASK, None)
        await new_events(one)
        await open_shop.send(CLICKS, click(30, "search"))

        async def taken_in() -> bool:
            return broadcast.live.snapshot.positions["clicks/0"] == 9

        await soon(taken_in)
        assert await new_events(one) == []

    async def test_a_subscription_may_be_for_each_value_of_a_scope(self, broadcast: Broadcast) -> None:
        ask = EachValueQuery(KpiQuery(Window.M5, Scope.CHANNEL, None, None))
        (received,) = await new_events(SseSubscriber(broadcast, ask, None))
        assert [item["value"] for item in received.data["items"]] == ["app", "web"]

    async def test_a_slow_subscriber_gets_the_newest_answer_and_a_gap_event(
        self, open_shop: Shop, broadcast: Broadcast
    ) -> None:
        one = SseSubscriber(broadcast, ASK, None)
        await new_events(one)
        for second in (61, 62, 63):
            await move(open_shop, broadcast, second)
        gap, newest = await new_events(one)
        assert (gap.name, seconds(gap), kpis([newest])) == ("gap", ("kpis", 60, 63), [63])

    @pytest.mark.parametrize(("resumed", "received"), [(60, []), (59, ["kpis"]), (55, ["gap", "kpis"])])
    async def test_a_resumed_subscriber_gets_what_it_missed(
        self, broadcast: Broadcast, resumed: int, received: list[str]
    ) -> None:
        one = SseSubscriber(broadcast, ASK, StreamPosition(at(resumed), None))
        assert [event.name for event in await new_events(one)] == received

    async def test_a_server_behind_the_previous_one_repeats_no_event(
        self, open_shop: Shop, broadcast: Broadcast
    ) -> None:
        one = SseSubscriber(broadcast, ASK, StreamPosition(at(61), None))
        assert await new_events(one) == []
        await move(open_shop, broadcast, 61)
        assert await new_events(one) == []
        await move(open_shop, broadcast, 62)
        assert kpis(await new_events(one)) == [62]

    async def test_an_as_of_that_went_back_is_sent_after_a_while(
        self, broadcast: Broadcast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(stream, "BEHIND_S", 0)
        assert kpis(await new_events(SseSubscriber(broadcast, ASK, StreamPosition(at(3600), None)))) == [60]

    async def test_an_answer_is_encoded_once_for_all_subscribers(self, broadcast: Broadcast) -> None:
        one, other = await broadcast.newest_kpis(ASK), await broadcast.newest_kpis(ASK)
        assert one is other

    async def test_each_of_many_queries_is_computed_once(
        self, broadcast: Broadcast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asks = [OneValueQuery(KpiQuery(Window.M1, Scope.SKU, None, None), f"sku-{number}") for number in range(100)]
        made: list[CachedQuery[EncodedAnswer]] = []
        get_answer = broadcast.live.get_answer

        async def counted(ask: CachedQuery[EncodedAnswer]) -> EncodedAnswer:
            made.append(ask)
            return await get_answer(ask)

        monkeypatch.setattr(broadcast.live, "get_answer", counted)
        with contextlib.ExitStack() as places:
            for ask in asks * 2:
                places.enter_context(broadcast.subscription(ask))
            await asyncio.gather(*map(broadcast.newest_kpis, asks * 2))
        assert (len(made), set(made)) == (100, set(asks))
        assert not broadcast._made, "answers of ended subscriptions are dropped"

    async def test_the_number_of_different_queries_is_limited(
        self, broadcast: Broadcast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(broadcasts, "MAX_SUBSCRIBED_QUERIES", 1)
        with broadcast.subscription(ASK), broadcast.subscription(ASK):
            with pytest.raises(ApiError, match="streams 1 different") as refused, broadcast.subscription(OTHER):
                pass
            assert (refused.value.status, refused.value.code) == (503, "too_many_questions")
        with broadcast.subscription(OTHER):
            pass


class TestAlerts:
    @pytest.fixture
    async def log(self, broadcast: Broadcast, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Log]:
        """A relayed log with change 1."""
        monkeypatch.setattr(changes, "_EVERY_S", 0.01)
        log = Log()
        log.add(1)
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(broadcast.relay_alerts(log))
            await self.read_to(broadcast, 1)
            yield log

    @staticmethod
    async def read_to(broadcast: Broadcast, number: int) -> None:
        async def so() -> bool:
            return broadcast.alerts is not None and broadcast.alerts.read_to == (number, 0)

        await soon(so)

    @staticmethod
    def numbers(received: list[Event]) -> list[int]:
        return [one.data["number"] for one in received if one.name == "alert"]

    async def test_new_alert_changes_arrive_once_and_in_order(self, broadcast: Broadcast, log: Log) -> None:
        one = SseSubscriber(broadcast, ASK, None)
        assert self.numbers(await new_events(one)) == []
        log.add(2, 3)
        await self.read_to(broadcast, 3)
        assert self.numbers(await new_events(one)) == [2, 3]
        assert await new_events(one) == []

    async def test_resuming_after_any_event_repeats_and_loses_nothing(
        self, broadcast: Broadcast, log: Log, open_shop: Shop
    ) -> None:
        one = SseSubscriber(broadcast, ASK, None)
        received = await new_events(one)
        log.add(*range(2, 6))
        await self.read_to(broadcast, 5)
        await move(open_shop, broadcast, 61)
        received += await new_events(one)
        assert [event.name for event in received] == ["kpis", *["alert"] * 4, "kpis"]
        for place, event in enumerate(received):
            rest = await new_events(SseSubscriber(broadcast, ASK, parse_event_id(event.id or "")))
            assert [(one.name, one.id) for one in rest] == [(one.name, one.id) for one in received[place + 1 :]]

    async def test_a_subscriber_further_behind_than_memory_reads_the_log(
        self, broadcast: Broadcast, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(changes, "_MOST_HELD", 3)
        log.add(*range(2, 1000))
        await self.read_to(broadcast, 999)
        for seen in (1, 500, 995, 996, 998):
            received = await new_events(SseSubscriber(broadcast, ASK, StreamPosition(at(60), (seen, 0))))
            assert self.numbers(received) == list(range(seen + 1, 1000))
            assert {event.name for event in received} == {"alert"}

    async def test_trimmed_changes_are_reported_as_a_gap(self, broadcast: Broadcast, log: Log) -> None:
        del log.held[0]
        log.add(5, 6)
        async with broadcast.relay_alerts(log):
            await self.read_to(broadcast, 6)
            gap, *rest = await new_events(SseSubscriber(broadcast, ASK, StreamPosition(at(60), (1, 0))))
            assert (gap.name, gap.data) == ("gap", {"of": "alerts", "after": 1, "before": 6})
            assert self.numbers(rest) == [5, 6]

    async def test_errors_are_logged_once_and_changes_follow_later(self, broadcast: Broadcast, log: Log) -> None:
        one = SseSubscriber(broadcast, ASK, StreamPosition(at(60), (1, 0)))
        with capture_logs() as logs:
            log.fault = RedisClusterException("slot 5 is not covered")
            failed = log.failed

            async def again() -> bool:
                return log.failed >= failed + 3

            await soon(again)
            log.fault = None
            log.add(2)
            await self.read_to(broadcast, 2)
        (line,) = [line for line in logs if line["log_level"] == "warning"]
        assert line["error"] == "RedisClusterException: slot 5 is not covered"
        assert self.numbers(await new_events(one)) == [2]

    async def test_no_change_is_lost_while_redis_is_down(self, broadcast: Broadcast, log: Log) -> None:
        one = SseSubscriber(broadcast, ASK, StreamPosition(at(60), (0, 1)))
        log.fault = RedisDown("away")
        assert await new_events(one) == []
        log.add(2)
        log.fault = None
        await self.read_to(broadcast, 2)
        received = await new_events(one)
        assert self.numbers(received) == [1, 2]
