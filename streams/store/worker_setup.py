"""What all workers of a store must have alike: the model, and the file of sources.

The setup of the worker that started last is in force. A change has four steps, each repeatable:

1. `set_setup.lua` stores the new setup, marked as changing, if no other worker changed it meanwhile.

2. `set_shard_setup.lua` sets its token in every shard. From then on `apply.lua` refuses batches of workers with another
   token there, and these workers end.

3. New and changed names count from after the newest event that was counted before.

4. The setup is stored with that time, and in force.

After a crash in between the setup stays marked, and the next worker that starts completes the change or makes its own.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace
from redis.asyncio import Redis

from consumers.errors import SalepulseError
from consumers.settings import Clock
from consumers.topics import CONTRACT_FEEDS, Feeds
from streams.dictionary.builtin import BUILT_IN
from streams.dictionary.definitions import ModelDefinitions, StoredNames
from streams.dictionary.fingerprint import fingerprint_of
from streams.dictionary.types import Model
from streams.dictionary.wire import (
    WireModel,
    assign_names,
    counted_from,
    from_wire,
    not_counted,
    to_wire,
)
from streams.settings import Settings
from streams.store.connection import script
from streams.store.feeds import FEEDS_FIELD, encode_feeds
from streams.store.keys import ALERTS_NAME, Keys
from streams.store.process_reports import REPORTED_WITHIN_MS, ProcessReports, recent_reports
from streams.store.reader import read_reports
from streams.store.reference_clock import server_time_ms
from streams.store.state import SETUP_FIELD

log = structlog.get_logger()

BACK_AFTER_MS = 30_000
"""A setup that was replaced does not come back sooner, or two supervisors would replace each other's without end."""
_MINUTE_MS = 60_000
_ASK_EVERY_S = 1.0


class StoredSetup(Struct, frozen=True, kw_only=True):
    """The setup as stored."""

    generation: int
    """Increases with each change."""
    changing: bool
    """Whether the change to it is not complete: a worker completes it when it starts."""
    at_ms: int
    """When the change began, epoch ms by Redis's clock."""
    release: str
    """Of the worker that made it."""
    model: WireModel
    sources: str = ""
    """Fingerprint of the file of sources; empty without sources."""
    former: str = ""
    """`identity` of the setup before."""

    @property
    def identity(self) -> str:
        """Equal for setups that count the same."""
        return _identity(self.model.fingerprint, self.sources)

    @property
    def token(self) -> str:
        """Distinct for each change."""
        return f"{self.generation} {self.identity}"

    def compile(self) -> Model:
        """Its model, with the ids and first event times of this store; names that this release lacks are left out."""
        return from_wire(self.model, generation=self.generation).model


@dataclass(frozen=True, slots=True)
class DeclaredSetup:
    """The setup of one worker by its settings and files."""

    settings: Settings
    model: Model = BUILT_IN
    definitions: ModelDefinitions = field(default_factory=ModelDefinitions)
    """Of the model's file."""
    feeds: Feeds = field(default_factory=lambda: CONTRACT_FEEDS)
    """The topics that it reads."""
    sources: str = ""
    """Fingerprint of the file of sources; empty without sources."""

    @property
    def identity(self) -> str:
        """Equal for setups that count the same."""
        return _identity(fingerprint_of(self.model, self.settings.timezone), self.sources)

    def names(self, stored: StoredSetup | None) -> StoredNames:
        """The ids of its names, and the times of those that are counted already."""
        zone = self.settings.timezone
        # a store without a setup was counted with the built-in names
        former = (
            counted_from(assign_names(BUILT_IN, zone, StoredNames()), None) if stored is None else stored.model.names
        )
        return assign_names(self.model, zone, former)

    def stored(self, names: StoredNames, generation: int, at_ms: int, former: str) -> StoredSetup:
        """Its stored form at the begin of the change to it."""
        exponent, zone = self.settings.money_exponent, self.settings.timezone
        return StoredSetup(
            generation=generation,
            changing=True,
            at_ms=at_ms,
            release=version("salepulse"),
            model=to_wire(self.model, self.definitions, names, exponent=exponent, timezone=zone),
            sources=self.sources,
            former=former,
        )


def _identity(model: str, sources: str) -> str:
    return f"{model}+{sources}" if sources else model


class SetupStore:
    """The setup in one store."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._set = script(redis, "set_setup")
        self._set_in_shard = script(redis, "set_shard_setup")

    async def read(self) -> StoredSetup | None:
        """The stored setup; None if there is none. Raises SalepulseError if another release wrote it."""
        return _decode(await self._content())

    async def adopt(self, declared: DeclaredSetup) -> StoredSetup:
        """Make a setup the present one, if it is not. Waits while that would undo another worker's change.

        Workers with another setup end when they see it.

        Raises:
            SalepulseError: another release wrote the stored setup, and this one cannot read it.
        """
        logged = ""
        while True:
            content = await self._content()
            stored = _decode(content)
            latest = max(await self._generations())
            # after Redis was wiped, a worker may have set a shard's token again before us
            if stored is None or stored.identity != declared.identity or stored.generation < latest:
                now_ms = int(await server_time_ms(self._redis, self._keys))
                names = declared.names(stored)
                reports = await read_reports(self._redis, self._keys)
                if why := reason_to_wait(stored, declared.identity, not_counted(names), reports, now_ms):
                    if why != logged:
                        log.warning("waiting before this worker's model and sources replace the present ones", why=why)
                    logged = why
                    await asyncio.sleep(_ASK_EVERY_S)
                    continue
                generation = 1 + max(stored.generation if stored else 0, latest)
                fresh = declared.stored(names, generation, now_ms, stored.identity if stored else "")
                if not await self._replace(content, fresh):
                    continue
                log_change(fresh, stored)
                content, stored = _encode(fresh), fresh
            elif not stored.changing:
                return stored
            if (completed := await self._complete(content or b"", stored, declared)) is not None:
                return completed

    async def is_present(self, setup: StoredSetup) -> bool | None:
        """Whether a worker's setup is the present one; None if there is none, because Redis was wiped."""
        token: bytes | None = await self._redis.hget(self._keys.state(0), SETUP_FIELD)  # type: ignore[assignment]
        return None if token is None else token.decode() == setup.token

    async def restore(self, setup: StoredSetup, feeds: Feeds) -> None:
        """Store a worker's setup again, after Redis was wiped."""
        if await self._replace(None, setup):
            for shard in range(self._keys.shards):
                await self._set_in_shard(keys=[self._keys.state(shard)], args=[setup.token])
            await self._note_feeds(feeds, setup.sources)

    async def _complete(self, content: bytes, setup: StoredSetup, declared: DeclaredSetup) -> StoredSetup | None:
        """Steps 2 to 4; None if another worker changed the setup meanwhile."""
        newest_ms = 0
        for shard in range(self._keys.shards):
            answer: bytes = await self._set_in_shard(keys=[self._keys.state(shard)], args=[setup.token])
            if answer == b"superseded":
                return None
            newest_ms = max(newest_ms, int(answer))
        await self._note_feeds(declared.feeds, setup.sources)
        since_ms = None
        if newest_ms:
            if not setup.former and declared.settings.clock is Clock.WALL:
                # earlier releases did not store how far events were ahead of the clock
                newest_ms = max(newest_ms, setup.at_ms + int(declared.settings.future_limit_s * 1000))
            since_ms = first_minute_after(newest_ms)
        names = counted_from(setup.model.names, since_ms)
        completed = replace(setup, changing=False, model=replace(setup.model, names=names))
        return completed if await self._replace(content, completed) else None

    async def _replace(self, content: bytes | None, setup: StoredSetup) -> bool:
        """Store a setup if the stored one is as it was read."""
        keys = [self._keys.setup, self._keys.state(0)]
        return bool(await self._set(keys=keys, args=[content or b"", _encode(setup), int(setup.changing)]))

    async def _content(self) -> bytes | None:
        content: Any = await self._redis.get(self._keys.setup)
        return None if content is None else bytes(content)

    async def _generations(self) -> list[int]:
        """The generation in each shard, 0 if there is none."""
        tokens = [await self._redis.hget(self._keys.state(shard), SETUP_FIELD) for shard in range(self._keys.shards)]
        return [int(token.split()[0]) if token else 0 for token in tokens]

    async def _note_feeds(self, feeds: Feeds, sources: str) -> None:
        """Note the topics that workers read, for readers."""
        if sources or await self._redis.hexists(self._keys.state(0), FEEDS_FIELD):
            await self._redis.hset(self._keys.state(0), FEEDS_FIELD, encode_feeds(feeds))


def reason_to_wait(
    stored: StoredSetup | None, identity: str, new_names: tuple[str, ...], reports: ProcessReports, now_ms: int
) -> str:
    """Why a worker must not replace the stored setup yet; empty: it may.

    `identity`: of its own setup. `new_names`: those that would begin to count.
    """
    workers = {
        name: report
        for name, report in recent_reports(reports, now_ms - REPORTED_WITHIN_MS)
        if not name.startswith(ALERTS_NAME)
    }
    # Apply does not refuse batches of releases without a setup: they would miss the new names.
    if new_names and (unaware := [name for name, report in workers.items() if not report.setup]):
        return (
            f"worker {unaware[0]} is of a release without models and would not count {', '.join(new_names[:3])}: "
            "update or stop it"
        )
    if stored is None:
        return ""
    if stored.former == identity and now_ms - stored.at_ms < BACK_AFTER_MS:
        left_s = (BACK_AFTER_MS - (now_ms - stored.at_ms)) / 1000
        return (
            "another worker replaced this model or these sources less than 30 s ago: start every worker with the same "
            f"files; without that, they replace it in {left_s:.0f} s"
        )
    if release_parts(stored.release) > release_parts(version("salepulse")) and (
        newer := [name for name, report in workers.items() if report.setup == stored.token]
    ):
        return (
            f"worker {newer[0]} is of the newer release {stored.release}: update this worker, or stop those of the "
            "newer release"
        )
    return ""


def release_parts(release: str) -> tuple[int, ...]:
    """The numbers of a release, to compare.

    >>> release_parts("2.10.1") > release_parts("2.9")
    True
    """
    return tuple(int(part) for part in release.split("+")[0].split(".") if part.isdigit())


def first_minute_after(newest_ms: int) -> int:
    """The first whole minute that begins at least a second after an event time, epoch ms.

    >>> first_minute_after(59_000), first_minute_after(59_001)
    (60000, 120000)
    """
    return -(-(newest_ms + 1000) // _MINUTE_MS) * _MINUTE_MS


def log_change(fresh: StoredSetup, stored: StoredSetup | None) -> None:
    """Log that this worker's setup replaces the stored one."""
    if stored is not None:
        log.warning(
            "this worker's model or sources differ from the present ones and replace them; workers with the former end",
            present=fresh.identity,
            former=stored.identity,
            former_release=stored.release,
        )


def superseded_text(setup: StoredSetup, present: StoredSetup | None) -> str:
    """What a worker says when it ends, because its setup is not the present one."""
    if present is None or present.sources != setup.sources:
        return "another worker started with other sources"
    return (
        f"another worker of release {present.release} started with another model: {present.model.fingerprint}; this "
        f"worker has {setup.model.fingerprint}"
    )


def _encode(setup: StoredSetup) -> bytes:
    return msgspec.json.encode(setup)


def _decode(content: bytes | None) -> StoredSetup | None:
    if content is None:
        return None
    try:
        return msgspec.json.decode(content, type=StoredSetup)
    except msgspec.DecodeError as error:
        raise SalepulseError(
            f"another release wrote the model of this store, and this one cannot read it ({error}): update this worker"
        ) from None
