"""Queries take turns, use their client's budget, and wait for polls."""

from __future__ import annotations

import asyncio
import time

import pytest

from streams.serve.http_limits import HttpLimit
from streams.view import fair_queue as turns_module
from streams.view.fair_queue import (
    SERVER_CLIENT,
    Budgets,
    FairQueue,
    OverloadedError,
    OverloadReason,
    TimedCoroutine,
    TokenBucket,
)

pytestmark = pytest.mark.anyio


def many() -> Budgets:
    """For clients with unlimited budgets."""
    return Budgets(rate=1, capacity_s=1e9)


def compute(seconds: float) -> None:
    """Use CPU time."""
    ends_s = time.thread_time() + seconds
    while time.thread_time() < ends_s:
        pass


class TestTokenBucket:
    def test_used_time_is_refilled_up_to_the_capacity(self) -> None:
        held = TokenBucket(rate=0.5, capacity_s=5)
        assert (held.left_s(100), held.wait_s(100)) == (5, 0)
        held.use(8, 100)
        assert (held.left_s(100), held.wait_s(100)) == (-3, 6)
        assert (held.left_s(104), held.wait_s(106)) == (-1, 0)
        assert held.left_s(1_000) == 5

    def test_a_clock_that_goes_back_refills_nothing(self) -> None:
        held = TokenBucket(rate=1, capacity_s=5)
        held.use(5, 100)
        assert held.left_s(90) == 0

    def test_each_client_has_a_budget(self) -> None:
        accounts = Budgets(rate=1, capacity_s=1)
        accounts.of("a").use(2, 0)
        assert (accounts.of("a").wait_s(0), accounts.of("b").wait_s(0)) == (1, 0)


class TestTimedCoroutine:
    async def test_computing_is_measured_and_waiting_is_not(self) -> None:
        async def query() -> str:
            compute(0.02)
            await asyncio.sleep(0.2)
            compute(0.02)
            return "done"

        used: list[float] = []
        assert await TimedCoroutine(query(), used.append) == "done"
        assert len(used) == 2
        assert 0.04 <= sum(used) < 0.1

    async def test_a_failure_is_raised_and_measured(self) -> None:
        async def query() -> None:
            await asyncio.sleep(0)
            compute(0.02)
            raise ValueError("no")

        used: list[float] = []
        with pytest.raises(ValueError, match="no"):
            await TimedCoroutine(query(), used.append)
        assert sum(used) >= 0.02

    async def test_a_cancelled_coroutine_is_closed(self) -> None:
        ended = []

        async def query() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                ended.append(True)

        task = asyncio.ensure_future(_await(TimedCoroutine(query(), lambda _: None)))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended


async def _await(paced: TimedCoroutine[None]) -> None:
    await paced


class TestFairQueue:
    async def test_clients_take_turns_regardless_of_their_number_of_queries(self) -> None:
        turns, order = FairQueue(many()), []

        def asks(who: str) -> asyncio.Task[None]:
            async def query() -> None:
                await asyncio.sleep(0)
                order.append(who)

            return asyncio.create_task(turns.run(who, query))

        await asyncio.gather(*(asks("greedy") for _ in range(5)), *(asks("modest") for _ in range(2)))
        assert order == ["greedy", "greedy", "modest", "greedy", "modest", "greedy", "greedy"]

    async def test_queries_run_one_at_a_time(self) -> None:
        turns, at_once, most = FairQueue(many()), [0], [0]

        async def query() -> None:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
            await asyncio.sleep(0.001)
            at_once[0] -= 1

        await asyncio.gather(*(turns.run(str(i % 3), query) for i in range(20)))
        assert (most[0], at_once[0]) == (1, 0)

    async def test_queries_pause_while_the_view_polls_for_a_limited_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(turns_module, "LONGEST_PAUSE_S", 60)
        turns, steps = FairQueue(many()), []

        async def query() -> None:
            for _ in range(3):
                steps.append(time.monotonic())
                await asyncio.sleep(0)

        turns.pause()
        asked = asyncio.create_task(turns.run("", query))
        await asyncio.sleep(0.1)
        assert len(steps) == 1
        turns.resume()
        await asyncio.wait_for(asked, 20)
        monkeypatch.setattr(turns_module, "LONGEST_PAUSE_S", 0.1)
        turns.pause()
        await asyncio.wait_for(turns.run("", query), 20)

    async def test_a_client_over_budget_gets_retry_after_and_others_are_answered(self) -> None:
        turns = FairQueue(Budgets(rate=0.01, capacity_s=0.03))

        async def query() -> None:
            compute(0.05)

        for who in ("a", ""):
            await turns.run(who, query)
            with pytest.raises(OverloadedError) as caught:
                await turns.run(who, query)
            assert caught.value.reason is OverloadReason.BUDGET_SPENT
            assert 2 <= caught.value.retry_after_s <= 10
        for _ in range(3):
            await turns.run(SERVER_CLIENT, query)
        await turns.run("b", query)

    async def test_waiting_queries_of_a_client_over_budget_are_not_computed(self) -> None:
        turns, computed = FairQueue(Budgets(rate=0.01, capacity_s=0.03)), []

        async def query() -> None:
            computed.append(True)
            compute(0.05)
            await asyncio.sleep(0)

        results = await asyncio.gather(*(turns.run("a", query) for _ in range(10)), return_exceptions=True)
        assert len(computed) == 1
        assert [type(one) for one in results[1:]] == [OverloadedError] * 9

    async def test_the_queue_is_bounded(self) -> None:
        turns, let = FairQueue(many()), asyncio.Event()
        asked = [asyncio.create_task(turns.run("a", let.wait)) for _ in range(turns_module.MAX_WAITING_PER_CLIENT + 1)]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError) as caught:
            await turns.run("a", let.wait)
        assert caught.value.reason is OverloadReason.QUEUE_FULL
        other = asyncio.create_task(turns.run("b", let.wait))
        let.set()
        await asyncio.gather(*asked, other)

    @pytest.mark.parametrize("which", [0, 1, 2])
    async def test_a_cancelled_query_gives_up_its_turn(self, which: int) -> None:
        turns, let = FairQueue(many()), asyncio.Event()
        asked = [asyncio.create_task(turns.run("a", let.wait)) for _ in range(3)]
        await asyncio.sleep(0)
        asked[which].cancel()
        let.set()
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert [isinstance(one, asyncio.CancelledError) for one in results] == [at == which for at in range(3)]
        assert await asyncio.wait_for(turns.run("a", _one), 1) == 1

    async def test_a_query_cancelled_as_its_turn_comes_passes_it_on(self) -> None:
        turns, let = FairQueue(many()), asyncio.Event()
        first = asyncio.create_task(turns.run("a", let.wait))
        second, third = (asyncio.create_task(turns.run("a", _one)) for _ in range(2))
        await asyncio.sleep(0)
        give = turns._pass_turn

        def give_and_cancel() -> None:
            turns._pass_turn = give  # type: ignore[method-assign]
            give()
            second.cancel()

        turns._pass_turn = give_and_cancel  # type: ignore[method-assign]
        let.set()
        await first
        with pytest.raises(asyncio.CancelledError):
            await second
        assert await asyncio.wait_for(third, 1) == 1


async def _one() -> int:
    return 1


def test_every_overload_reason_is_a_limit_of_http() -> None:
    assert {reason.value for reason in OverloadReason} <= {limit.value for limit in HttpLimit}
