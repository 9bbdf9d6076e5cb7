"""Clicks of sessions: views, searches, carts, favourites, ads and live rooms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streams.simulate.chance import Purpose, lognormal_ms
from streams.simulate.columns import Bools, Bytes, EventColumns, Ints, SimulatedEventType, concat, objects
from streams.simulate.context import SliceContext
from streams.simulate.effects import ChanceSite

STEP_MEDIAN_S, STEP_SIGMA = 12.0, 0.9
"""Dwell time of a page: lognormal, median 12 s, mean 18 s."""
AD_COST_MEDIAN, AD_COST_SIGMA = 80.0, 0.6
"""Cost per click in minor units: lognormal, assumed."""
AD_UNITS = (b"feed", b"search", b"banner")


@dataclass(frozen=True, slots=True)
class Carts:
    """Cart lines ordered by session, and the end of each session."""

    session: Ints
    sku: Ints
    session_end: Ints
    """[session]: epoch ms"""


@dataclass(frozen=True, slots=True)
class PageSteps:
    """Pages of all sessions, in order."""

    session: Ints
    first: Bools
    at: Ints
    dwell: Ints


def browse(scene: SliceContext) -> tuple[EventColumns, Carts]:
    """Clicks of the sessions except `checkout_start`, and their carts."""
    rng = scene.rng(Purpose.BROWSING)
    funnel, sessions = scene.config.funnel, scene.sessions
    steps, ends = _steps(scene, rng)
    choice = rng.random(len(steps.at))
    is_page = ~steps.first & (choice < funnel.page_share)
    is_search = ~steps.first & ~is_page & (choice < funnel.page_share + funnel.search_share)
    is_view = ~steps.first & ~is_page & ~is_search
    live = steps.first & (sessions.live_room[steps.session] > 0)
    parts = [
        _pages(SimulatedEventType.PAGE_VIEW, scene, steps, (steps.first & ~live) | is_page),
        _pages(SimulatedEventType.LIVE_ENTER, scene, steps, live),
        _searches(scene, steps, is_search, rng),
    ]
    views, carts = _views(scene, steps, is_view, ends)
    parts += [*views, *_ads(scene, ends, rng), _comments(scene, ends, rng)]
    return concat(parts), carts


def _pages(kind: SimulatedEventType, scene: SliceContext, steps: PageSteps, mask: Bools) -> EventColumns:
    return scene.clicks(kind, steps.session[mask], steps.at[mask], value=steps.dwell[mask])


def _steps(scene: SliceContext, rng: np.random.Generator) -> tuple[PageSteps, Ints]:
    """Pages per session: 1 + negative binomial (shape 2), mostly few."""
    config, sessions = scene.config, scene.sessions
    extra = config.funnel.steps - 1
    count = 1 + rng.negative_binomial(2, 2 / (2 + extra), len(sessions)).astype(np.int64)
    session = np.repeat(np.arange(len(sessions), dtype=np.int64), count)
    begin = np.cumsum(count) - count
    dwell = lognormal_ms(rng, len(session), STEP_MEDIAN_S, STEP_SIGMA, config.shop_speed)
    until = np.cumsum(dwell)
    before = until - dwell
    at = sessions.start[session] + before - np.repeat(before[begin], count)
    first = np.zeros(len(session), dtype=np.bool_)
    first[begin] = True
    last = begin + count - 1
    return PageSteps(session, first, at, dwell), at[last] + dwell[last]


def _searches(scene: SliceContext, steps: PageSteps, mask: Bools, rng: np.random.Generator) -> EventColumns:
    keywords = scene.world.catalog.keywords
    words = (len(keywords) * rng.random(int(mask.sum())) ** 2).astype(np.int64)
    return scene.clicks(SimulatedEventType.SEARCH, steps.session[mask], steps.at[mask], keywords[words])


def _views(scene: SliceContext, steps: PageSteps, mask: Bools, ends: Ints) -> tuple[list[EventColumns], Carts]:
    """Product views with the carts and favourites that follow."""
    rng = scene.rng(Purpose.VIEWS)
    catalog, funnel, sessions = scene.world.catalog, scene.config.funnel, scene.sessions
    session, at, dwell = steps.session[mask], steps.at[mask], steps.dwell[mask]
    sku = catalog.draw(rng.random(len(at)), sessions.promotion[session])
    room = sessions.live_room[session]
    room_sku = catalog.rooms[room, rng.integers(0, catalog.rooms.shape[1], len(at))]
    sku = np.where(room > 0, room_sku, sku)
    to_cart, to_favorites = rng.random(len(at)) < funnel.cart, rng.random(len(at)) < funnel.favorite
    later = at + (dwell * rng.uniform(0.2, 0.95, len(at))).astype(np.int64)
    dims: dict[str, Bytes | Ints] = {**sessions.dims(session), "sku": sku, "category": catalog.category[sku]}
    to_cart &= ~scene.effects.sampled_hits(
        "conversion_drop", later, dims, ChanceSite.CART, scene.slice_index, stage="cart"
    )
    tail = catalog.click[sku]
    rows = [
        scene.clicks(SimulatedEventType.PRODUCT_VIEW, session, at, tail, dwell),
        scene.clicks(SimulatedEventType.ADD_TO_CART, session[to_cart], later[to_cart], tail[to_cart]),
        scene.clicks(SimulatedEventType.FAVORITE, session[to_favorites], later[to_favorites], tail[to_favorites]),
    ]
    return rows, Carts(session[to_cart], sku[to_cart], ends)


def _ads(scene: SliceContext, ends: Ints, rng: np.random.Generator) -> list[EventColumns]:
    """Ad impressions during sessions without a campaign; impression and click at the start of those with one."""
    config, sessions = scene.config, scene.sessions
    clicked = np.flatnonzero(sessions.campaign > 0)
    seen_count = np.where(sessions.campaign == 0, rng.poisson(config.funnel.impressions, len(sessions)), 0)
    seen = np.repeat(np.arange(len(sessions), dtype=np.int64), seen_count)
    seen_at = sessions.start[seen] + (rng.random(len(seen)) * (ends - sessions.start)[seen]).astype(np.int64)
    tails = objects(
        [
            b'%b,"ad_unit":"%b"' % (b',"campaign":"%b"' % label.encode() if label else b"", unit)
            for label in ("", *config.campaigns)
            for unit in AD_UNITS
        ]
    )
    units = len(AD_UNITS)
    seen_tail = tails[units + rng.integers(0, units * len(config.campaigns), len(seen))]
    own_tail = tails[rng.integers(0, units, len(clicked))]
    cost = lognormal_ms(rng, len(clicked), AD_COST_MEDIAN / 1000, AD_COST_SIGMA)
    start = sessions.start[clicked]
    return [
        scene.clicks(SimulatedEventType.AD_IMPRESSION, seen, seen_at, seen_tail),
        scene.clicks(SimulatedEventType.AD_IMPRESSION, clicked, start, own_tail),
        scene.clicks(SimulatedEventType.AD_CLICK, clicked, start + rng.integers(1, 900, len(clicked)), own_tail, cost),
    ]


def _comments(scene: SliceContext, ends: Ints, rng: np.random.Generator) -> EventColumns:
    sessions = scene.sessions
    count = np.where(sessions.live_room > 0, rng.poisson(scene.config.funnel.comments, len(sessions)), 0)
    session = np.repeat(np.arange(len(sessions), dtype=np.int64), count)
    at = sessions.start[session] + (rng.random(len(session)) * (ends - sessions.start)[session]).astype(np.int64)
    return scene.clicks(SimulatedEventType.LIVE_COMMENT, session, at)
