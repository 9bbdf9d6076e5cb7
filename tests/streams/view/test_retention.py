"""Expired panes are replaced by coarser ones, exactly, or the query is rejected."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from streams.clock import now_ms
from streams.view.query import NotAnswerableError
from streams.worker.lateness import event_time_bounds
from tests.streams.shop import CLICKS_0, Shop, ask, opened
from tests.streams.view.comparing import assert_true
from tests.support.events import T0, click, ms, promotion

pytestmark = pytest.mark.anyio

HOUR_S, DAY_S = 3600, 86_400


async def counted(shop: Shop, *times: float) -> None:
    """Page views at these seconds, compacted, with all panes dropped that are expired at the newest."""
    for at in times:
        await shop.feed(CLICKS_0, [click(at=at, user=f"u-{at}")])
        await shop.compact(CLICKS_0, ms(at))
    await shop.writer.expire(event_time_bounds(shop.settings, ms(max(times)), now_ms()).oldest_s)


def every(step: int, start: int, end: int) -> range:
    return range(start, end, step)


async def test_windows_at_the_newest_as_of_are_whole(redis_url: str) -> None:
    async with opened(redis_url, retain="") as shop:
        await shop.announce(promotion(starts=0, ends=9 * DAY_S))
        await counted(shop, *every(1_777, 5, 4 * DAY_S + 12_345))
        await assert_true(shop, await shop.view(), scopes=["all"])


async def test_a_moment_with_only_minutes_is_answered_at_the_minute(redis_url: str) -> None:
    async with opened(redis_url, retain="") as shop:
        await counted(shop, *every(600, 0, DAY_S))
        view = await shop.view()
        at = 12 * HOUR_S + 7
        for window in ("5m", "15m", "1h"):
            numbers = await ask(view, window, at=ms(at))
            assert numbers["page_views"] == shop.oracle().ask(window, ms(at - at % 60))["page_views"]


async def test_an_expired_moment_is_rejected(redis_url: str) -> None:
    async with opened(redis_url, retain="") as shop:
        await counted(shop, 0, 4 * DAY_S)
        view = await shop.view()
        with pytest.raises(NotAnswerableError):
            await ask(view, "1h", at=ms(HOUR_S))


async def test_a_promotion_that_began_within_an_hour_is_rejected_after_its_minutes_expired(redis_url: str) -> None:
    async with opened(redis_url, retain="") as shop:
        await shop.announce(promotion(starts=1_800, ends=9 * DAY_S))
        await counted(shop, 600, 2_000, 3_000, 4_000, 3.2 * DAY_S)
        with pytest.raises(NotAnswerableError, match="no longer kept"):
            await ask(await shop.view(), "promotion")


@pytest.mark.parametrize("window", ["24h", "day"])
async def test_a_window_at_an_old_moment_is_exact_or_rejected(redis_url: str, window: str) -> None:
    async with opened(redis_url, retain="", timezone="Asia/Kolkata") as shop:
        await counted(shop, *every(900, 300, int(4.5 * DAY_S)))
        view = await shop.view()
        at = ms(1.7 * DAY_S + 1_200)
        expected = shop.oracle().ask(window, at)["page_views"]
        try:
            numbers = await ask(view, window, at=at)
        except NotAnswerableError:
            return
        assert numbers["page_views"] == expected


async def test_a_backlog_older_than_kept_seconds_is_exact(redis_url: str) -> None:
    """A worker was down for three hours: windows at an as-of three hours ago."""
    behind_s = now_ms() // 1000 - 3 * HOUR_S - T0
    async with opened(redis_url, retain="", clock="wall") as shop:
        await shop.feed(CLICKS_0, [click(at=behind_s + at) for at in range(100)], lag=1_000)
        view = await shop.view()
        before = await ask(view, "1m")
        await shop.compact(CLICKS_0)
        assert before["page_views"] == 60
        assert (await ask(await shop.view(), "1m"))["page_views"] == 60


async def test_blocks_that_expired_without_workers_are_rejected_and_not_counted_as_zero(
    redis_url: str,
) -> None:
    """After three hours without workers, a block has expired in Redis, but its existence is still known."""
    now_s = now_ms() // 1000 - T0
    async with opened(redis_url, retain="", clock="wall") as shop:
        await shop.feed(CLICKS_0, [click(at=now_s - 10 * HOUR_S + at) for at in range(1_000)], lag=1)
        await shop.compact(CLICKS_0)
        following = await shop.view()
        right = await ask(following, "5m")
        for key in await shop.redis.keys("*pane:s:*"):
            await shop.redis.delete(key)
        with pytest.raises(NotAnswerableError, match="no longer kept"):
            await ask(await shop.view(), "5m")
        assert right["page_views"] == 300
        assert await ask(following, "5m") == right


class Quiet:
    """A shop whose last event was five hours ago, on a clock that the test advances."""

    def __init__(self, redis_url: str, now_s: int) -> None:
        self.now_s = now_s
        """Seconds after `T0`."""
        self.shop = Shop(redis_url, present=lambda: ms(self.now_s), retain="", clock="wall")

    async def counted(self) -> None:
        """A page view each minute of a day three days ago, and of the last minutes before the shop fell quiet."""
        last_s = self.now_s - 5 * HOUR_S
        await self.shop.feed(CLICKS_0, [click(at=last_s - 3 * DAY_S + 60 * at) for at in range(24 * 60)])
        await self.shop.feed(CLICKS_0, [click(at=last_s - 60 * at) for at in reversed(range(10))])
        await self.shop.compact(CLICKS_0)

    async def heartbeat(self) -> None:
        """Write a heartbeat and drop expired panes."""
        position = (await self.shop.work(CLICKS_0)).position
        await self.shop.writer.heartbeat({CLICKS_0: (position, 0)})
        await self.shop.drop(ms(self.now_s))


@pytest.fixture(params=["00:00:00", "00:00:01", "07:39:59", "12:40:00", "12:59:59", "23:59:30"])
async def quiet(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Quiet]:
    """At several times of day, among them the last minute of an hour and the first second of a day."""
    hours, minutes, seconds = map(int, request.param.split(":"))
    quiet = Quiet(redis_url, 9 * DAY_S + hours * HOUR_S + 60 * minutes + seconds)
    await quiet.counted()
    quiet.now_s += 60
    await quiet.heartbeat()
    yield quiet
    await quiet.shop.redis.aclose()


async def test_panes_of_a_quiet_shop_expire_by_the_clock(quiet: Quiet) -> None:
    """Workers drop panes by the clock, and servers notice, though the newest event is hours old."""
    view, now = await quiet.shop.view(), ms(quiet.now_s)
    oldest_s = quiet.now_s - quiet.now_s % 60 - 3 * DAY_S
    assert (await ask(view, "1h", at=ms(oldest_s + 6_000), now=now))["page_views"] == 60
    whole_hour = (oldest_s + 1_200) % HOUR_S == 0  # answered from the pane of an hour, which is kept
    with pytest.raises(NotAnswerableError):
        await ask(view, "1h", at=ms(oldest_s + (1_260 if whole_hour else 1_200)), now=now)


async def test_expired_panes_are_rejected_after_the_as_of_went_back(quiet: Quiet) -> None:
    """The worker of a quiet shop dies: the as-of goes back to the last event, whose seconds have expired."""
    following, now = await quiet.shop.view(), ms(quiet.now_s + 60)
    await following.poll(now)
    last_s = quiet.now_s - 60 - 5 * HOUR_S
    for view in (following, await quiet.shop.view()):
        await view.poll(now)
        assert view.as_of(now).ms == ms(last_s), "a worker that is silent holds the as-of at what it counted"
        assert (await ask(view, "5m", now=now))["page_views"] == 5
        with pytest.raises(NotAnswerableError):
            await ask(view, "1h", at=ms(quiet.now_s - 3 * DAY_S - 3_700), now=now)
