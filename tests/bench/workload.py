"""Seeded events of the benchmarks: 90 % clicks of about 230 bytes, 10 % orders of about 320.

Event time moves 1 s per 20,000 events and is out of order by up to 3 s (median about 0.2 s). 200,000 users, 5,000 SKUs
(Zipf 1.05), 30 categories, 5 channels, 8 regions, 40 promotions (35 % of events have one), a third of orders each with
one, two and three lines.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from consumers.kafka.producer import OutgoingMessage
from consumers.topics import Topic

SEED = 20_240_601
START_MS = 1_760_000_000_000
PER_SECOND = 20_000
LATE_MS = 3_000
USERS, SKUS, CATEGORIES, PROMOTIONS = 200_000, 5_000, 30, 40
CHANNELS = ("web", "ios", "android", "email", "partner")
REGIONS = ("eu-west", "eu-north", "us-east", "us-west", "latam", "apac", "mena", "africa")
CLICK_TYPES = ("product_view", "add_to_cart", "favorite", "checkout_start")
ORDER_TYPES = ("order_created", "order_paid", "payment_failed", "order_cancelled")
_BLOCK = 50_000


def events(count: int, *, start: int = 0, start_ms: int = START_MS) -> Iterator[list[OutgoingMessage]]:
    """`count` messages in arrival order, in lists of up to 50,000; event `i` is the same whatever the count."""
    for block in range(start // _BLOCK, -(-(start + count) // _BLOCK)):
        first = block * _BLOCK
        made = _block(block, start_ms)
        yield made[max(0, start - first) : max(0, min(_BLOCK, start + count - first))]


def _block(block: int, start_ms: int) -> list[OutgoingMessage]:
    rng = np.random.default_rng((SEED, block))
    n = _BLOCK

    def pick(kinds: int, p: list[float] | None = None) -> list[int]:
        picked: list[int] = rng.choice(kinds, n, p=p).tolist()
        return picked

    is_order = (rng.random(n) < 0.1).tolist()
    late = (LATE_MS * rng.random(n) ** 4).astype(int).tolist()
    users, sessions = pick(USERS), pick(10**8)
    click_types, order_types = pick(4, [0.80, 0.10, 0.06, 0.04]), pick(4, [0.46, 0.40, 0.08, 0.06])
    channels, regions = pick(5, [0.40, 0.25, 0.20, 0.10, 0.05]), pick(8)
    promotions = np.where(rng.random(n) < 0.35, rng.integers(0, PROMOTIONS, n), -1).tolist()
    members, dwells = (rng.random(n) < 0.3).tolist(), rng.integers(50, 120_000, n).tolist()
    skus = rng.choice(SKUS, (n, 3), p=_ZIPF).tolist()
    lines, quantities = pick(3), rng.integers(1, 5, (n, 3)).tolist()
    out = []
    for j in range(n):
        i = block * _BLOCK + j
        ts = start_ms + i * 1000 // PER_SECOND - late[j]
        promotion = "null" if promotions[j] < 0 else f'"promo-{promotions[j]:03}"'
        user = f"u{users[j]:06}"
        who = f'"ts":{ts},"user_id":"{user}"'
        where = (
            f'"channel":"{CHANNELS[channels[j]]}","region":"{REGIONS[regions[j]]}",'
            f'"promotion_id":{promotion},"member":{"true" if members[j] else "false"}'
        )
        if is_order[j]:
            items = ",".join(
                f'{{"sku":"sku-{s:05}","category":"cat-{s % CATEGORIES:02}","qty":{q},"unit_price":{_PRICES[s]}}}'
                for s, q in zip(skus[j][: lines[j] + 1], quantities[j], strict=False)
            )
            order = f"ord-{i:09}"
            text = (
                f'{{"event_id":"o{i:09}","type":"{ORDER_TYPES[order_types[j]]}",{who},'
                f'"order_id":"{order}",{where},"items":[{items}]}}'
            )
            out.append(OutgoingMessage(Topic.ORDERS, order.encode(), text.encode()))
        else:
            s = skus[j][0]
            text = (
                f'{{"event_id":"c{i:09}","type":"{CLICK_TYPES[click_types[j]]}",{who},'
                f'"session_id":"s{sessions[j]:08}","sku":"sku-{s:05}","category":"cat-{s % CATEGORIES:02}",'
                f'{where},"dwell_ms":{dwells[j]}}}'
            )
            out.append(OutgoingMessage(Topic.CLICKS, user.encode(), text.encode()))
    return out


_ZIPF = 1 / np.arange(1, SKUS + 1) ** 1.05
_ZIPF /= _ZIPF.sum()
_PRICES = np.random.default_rng(SEED).integers(199, 20_000, SKUS).tolist()
