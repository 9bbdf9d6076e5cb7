"""Users and sessions, with the JSON that all events of a session share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streams.simulate.chance import pick, trait
from streams.simulate.columns import Bools, Bytes, Ints, Objects, objects
from streams.simulate.config import Mix, SimulationConfig

DEVICES = ("ios", "android", "desktop")
PHONE = (0.45, 0.55, 0.0)
ANY_DEVICE = (0.12, 0.18, 0.70)
ACTIVITY_POWER = 1.6
"""The user of a session is `users × u^1.6`: a few are frequent. Assumed."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sessions in columns. Codes are indexes of the configuration's lists (campaign and live_room: 0 is none)."""

    start: Ints
    """Epoch ms."""
    user: Ints
    number: Ints
    channel: Bytes
    region: Bytes
    variant: Bytes
    member: Bytes
    campaign: Bytes
    live_room: Bytes
    promotion: Bools
    """Whether events carry the promotion's id."""
    producer: Bytes
    key: Objects
    """Kafka key of its clicks: the user id."""
    body: Objects
    """JSON common to all its clicks."""
    order_body: Objects
    """JSON common to all its orders."""

    def __len__(self) -> int:
        return len(self.start)

    def dims(self, index: Ints | None = None) -> dict[str, Bytes]:
        """Codes by dimension, of all sessions or those at `index`."""
        columns = {
            "channel": self.channel,
            "region": self.region,
            "variant": self.variant,
            "member": self.member,
            "campaign": self.campaign,
            "live_room": self.live_room,
        }
        return columns if index is None else {name: column[index] for name, column in columns.items()}


class Audience:
    """Creates sessions. Region, member and variant belong to the user, other dimensions to the session."""

    def __init__(self, config: SimulationConfig, run: bytes) -> None:
        self._config = config
        self._run = run
        self._user_parts = {source: self._users(source) for source in (b"collector", b"oms")}
        self._visit_parts = self._visits()
        self._device_parts = objects([b',"device":"%b"' % device.encode() for device in DEVICES])

    def _users(self, source: bytes) -> Objects:
        """JSON fragments by (region, member, variant, producer)."""
        config = self._config
        return objects(
            [
                b',"region":"%b","member":%b,"variant":"%b","source":"%b-%d"'
                % (region.encode(), member, variant.encode(), source, producer)
                for region, _ in config.regions
                for member in (b"false", b"true")
                for variant, _ in config.variants
                for producer in range(config.producers)
            ]
        )

    def _visits(self) -> Objects:
        """JSON fragments by (channel, promotion, campaign, live room)."""
        config = self._config
        promotion = config.promotion.promotion_id if config.promotion else ""
        return objects(
            [
                b',"channel":"%b"' % channel.encode()
                + _field("promotion_id", promotion_id)
                + _field("campaign", campaign)
                + _field("live_room", room)
                for channel, _ in config.channels
                for promotion_id in ("", promotion)
                for campaign in ("", *config.campaigns)
                for room in ("", *config.live_rooms)
            ]
        )

    def arrive(self, starts: Ints, first_number: int, rng: np.random.Generator) -> Sessions:
        """Create sessions that start at `starts` (epoch ms)."""
        config, size = self._config, len(starts)
        user = (config.users * rng.random(size) ** ACTIVITY_POWER).astype(np.int64)
        region = pick(trait(user, 1), weights(config.regions))
        variant = pick(trait(user, 2), weights(config.variants))
        member = (trait(user, 3) < config.member_share).astype(np.uint8)
        producer = (user % config.producers).astype(np.uint8)
        channel = pick(rng.random(size), weights(config.channels))
        on_web, chance = channel == _index(config.channels, "web"), rng.random(size)
        device = np.where(on_web, pick(chance, ANY_DEVICE), pick(chance, PHONE))
        live = channel == _index(config.channels, "live")
        room = np.where(live, 1 + rng.integers(0, len(config.live_rooms), size), 0).astype(np.uint8)
        from_ad = rng.random(size) < config.funnel.campaign
        campaign = np.where(from_ad, 1 + rng.integers(0, len(config.campaigns), size), 0).astype(np.uint8)
        promotion = self._in_promotion(starts, rng)
        regions, variants, channels = len(config.regions), len(config.variants), len(config.channels)
        user_part = _mixed((region, regions), (member, 2), (variant, variants), (producer, config.producers))
        rooms, campaigns = len(config.live_rooms) + 1, len(config.campaigns) + 1
        visit_part = _mixed((channel, channels), (promotion, 2), (campaign, campaigns), (room, rooms))
        number = first_number + np.arange(size, dtype=np.int64)
        key = objects([b"u-%07d" % u for u in user.tolist()])
        body = self._bodies(key, number, device, visit_part, user_part)
        order_body: Objects = self._visit_parts[visit_part] + self._user_parts[b"oms"][user_part]
        return Sessions(
            start=starts,
            user=user,
            number=number,
            channel=channel,
            region=region,
            variant=variant,
            member=member,
            campaign=campaign,
            live_room=room,
            promotion=promotion,
            producer=producer,
            key=key,
            body=body,
            order_body=order_body,
        )

    def _bodies(self, key: Objects, number: Ints, device: Bytes, visit: Ints, who: Ints) -> Objects:
        form = b'"user_id":"%b","session_id":"s-' + self._run + b'-%x"%b%b%b'
        parts = (self._device_parts[device], self._visit_parts[visit], self._user_parts[b"collector"][who])
        columns = [column.tolist() for column in (key, number, *parts)]
        return objects([form % fields for fields in zip(*columns, strict=True)])

    def _in_promotion(self, starts: Ints, rng: np.random.Generator) -> Bools:
        plan, chance = self._config.promotion, rng.random(len(starts))
        if plan is None:
            return np.zeros(len(starts), dtype=np.bool_)
        begins, ends = self._config.at(plan.phases[0].begins), self._config.at(plan.phases[-1].ends)
        carries: Bools = (starts >= begins) & (starts < ends) & (chance < plan.share)
        return carries


def _field(name: str, value: str) -> bytes:
    return b',"%b":"%b"' % (name.encode(), value.encode()) if value else b""


def weights(mix: Mix) -> tuple[float, ...]:
    """Weights of a mix."""
    return tuple(weight for _, weight in mix)


def _index(mix: Mix, label: str) -> int:
    """Code of a label; -1 if unknown."""
    labels = [name for name, _ in mix]
    return labels.index(label) if label in labels else -1


def _mixed(*digits: tuple[Bytes | Bools, int]) -> Ints:
    """Mixed-radix index of codes with their bases."""
    number = np.zeros(len(digits[0][0]), dtype=np.int64)
    for code, base in digits:
        number = number * base + code
    return number


class Customers:
    """Whether each user has ordered before; `known`: share with an order before the run."""

    def __init__(self, users: int, known: float) -> None:
        self._bought: Bools = trait(np.arange(users, dtype=np.int64), 4) < known

    def first_orders(self, users: Ints) -> Bools:
        """Which of these orders is the first of its user; marks the users as customers."""
        _, earliest = np.unique(users, return_index=True)
        first = np.zeros(len(users), dtype=np.bool_)
        first[earliest] = ~self._bought[users[earliest]]
        self._bought[users] = True
        return first
