"""Starts what a plan says, in the order in which each needs the other, and tells when it all answers."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from aiokafka.client import AIOKafkaClient

from consumers.errors import SalepulseError
from consumers.kafka.admin import TopicOutcome, create_topics, default_plans
from consumers.kafka.connection import KafkaTarget, kafka_client_config
from consumers.kafka.errors import kafka_errors
from streams.local.api_client import ApiClient
from streams.local.embedded.broker import broker_child
from streams.local.embedded.child import Child, ChildEvent, ChildEventKind
from streams.local.embedded.redis import redis_child
from streams.local.embedded.supervisor import StopRequestedError, Supervisor
from streams.local.stack.attended import all_partitions_attended, store_now_ms
from streams.local.stack.plan import StackPlan, environment
from streams.local.stack.secrets import inherited_variables, secrets_for_children, write_secrets
from streams.settings import Settings
from streams.settings_report import display_value
from streams.store.connection import check, connect
from streams.store.wait_for_redis import wait_for_redis

T = TypeVar("T")
PrintLine = Callable[[str], None]
"""Takes a line for people."""

ROLE_READY_WITHIN_S = 60.0
READY_POLL_S = 0.05
REMIND_EVERY_S, USUAL_START_S = 10.0, 30.0


class Stack:
    """Servers and roles of one plan, as children of a running supervisor.

    The embedded broker keeps everything in memory: when it is started again its topics are made anew.
    """

    def __init__(
        self, plan: StackPlan, supervisor: Supervisor, print_line: PrintLine, *, extra_roles: Sequence[str] = ()
    ) -> None:
        self.plan = plan
        self._supervisor = supervisor
        self._print_line = print_line
        self._extra_roles = extra_roles
        self._served = False
        """Whether there were topics already, on this broker or on the one before its restart."""
        self._roles_since_ms = 0

    async def start(self) -> None:
        """Start everything; back when the API answers for all of it. Raises SalepulseError or ChildFailedError."""
        await self.start_servers()
        await self.start_roles()
        await self.until_ready()

    async def start_servers(self) -> None:
        """Broker, Redis and topics: from then on events can be written."""
        await asyncio.gather(self._broker(), self._redis())
        if self.plan.kafka_port is None:
            await self.unless_over(self._create_topics())
        else:
            await self.unless_over(self._topics_of_an_empty_broker())
        self._served = True

    async def start_roles(self) -> None:
        """Workers, servers and whatever else there is. They find the servers by the environment they get."""
        settings = self.plan.settings
        self._roles_since_ms = await store_now_ms(settings)
        self._secrets = write_secrets(self.plan.folder, secrets_for_children(settings, os.environ))
        children = [self._role(f"worker-{i + 1}", "worker") for i in range(self.plan.workers)]
        children += [self._role(role, role) for role in ("serve", *self._extra_roles)]
        await asyncio.gather(*(self._supervisor.start(child) for child in children))

    async def until_ready(self) -> None:
        """Until /readyz is 200: the workers have their partitions, and the first answers are made. Says at times what
        it waits for.

        That must rest on what workers said since the roles were started: what those of an earlier start said last still
        holds for some seconds.
        """
        api, began = ApiClient(self.plan.url, self.plan.settings.http_cert_file), time.monotonic()
        waited = began
        while True:
            status, answer = await self.unless_over(api.get("/readyz"))
            if status == 200:
                if await self.unless_over(all_partitions_attended(self.plan.settings, self._roles_since_ms)):
                    return
                status, answer = 503, {"reasons": ["no word from the workers yet"]}
            await self.unless_over(asyncio.sleep(READY_POLL_S))
            if time.monotonic() - waited >= REMIND_EVERY_S:
                waited = time.monotonic()
                self._print_line(waiting_message(not_ready_reason(status, answer), waited - began))

    async def unless_over(self, work: Awaitable[T]) -> T:
        """The result of `work`, unless a stop is asked for (StopRequestedError) or a child fails for good first."""
        task, over = asyncio.ensure_future(work), asyncio.ensure_future(self._supervisor.wait())
        try:
            await asyncio.wait({task, over}, return_when=asyncio.FIRST_COMPLETED)
            if over.done():
                over.result()
                raise StopRequestedError
            return task.result()
        finally:
            task.cancel()
            over.cancel()

    async def _broker(self) -> None:
        plan = self.plan
        if plan.kafka_port is None:
            await require_broker(plan.settings.kafka)
            self._print_line(f"broker: {plan.settings.bootstrap}, given")
            return
        child = broker_child(plan.kafka_port, plan.log_folder / "broker.log", on_ready=self._broker_ready)
        await self._supervisor.start(child)
        self._print_line(
            f"broker: {plan.settings.bootstrap}, embedded: it keeps everything in memory, and loses it at the end"
        )

    async def _broker_ready(self) -> None:
        """Each time that the embedded broker has started. The first time, Redis may not be there yet."""
        if self._served:
            self._print_line("the broker has lost what it held, and begins anew; what was counted stays counted")
            await self._topics_of_an_empty_broker()

    async def _topics_of_an_empty_broker(self) -> None:
        from streams.local.stack.ownership import require_embedded_positions
        from streams.local.stack.reset_positions import reset_positions

        if not self._served:
            await wait_for_redis(None, lambda: require_embedded_positions(self.plan.settings))
        if await wait_for_redis(None, lambda: reset_positions(self.plan.settings)) and not self._served:
            self._print_line(
                "what was counted before is kept; events that were not are gone with the broker of that time"
            )
        await self._create_topics()

    async def _redis(self) -> None:
        plan, url = self.plan, display_value(self.plan.settings.redis_url)
        if plan.redis_port is None:
            await self.unless_over(require_redis(plan.settings))
            self._print_line(f"redis: {url}, given")
            return
        data = plan.folder / "redis"
        data.mkdir(mode=0o700, exist_ok=True)
        data.chmod(0o700)  # a version before left it open to all
        await self._supervisor.start(redis_child(plan.redis_port, data, plan.log_folder / "redis.log"))
        self._print_line(f"redis: {url}, embedded, data in {data}")

    async def _create_topics(self) -> None:
        settings = self.plan.settings
        plans = default_plans(settings.partitions, settings.topic_names)
        for report in await create_topics(settings.kafka, plans, accepted=settings.accepted_topics):
            if report.unusable:
                raise SalepulseError(f"topic {report}")
            if report.outcome in (TopicOutcome.DIFFERS, TopicOutcome.OTHER_PARTITIONS):
                self._print_line(f"topic {report}")

    def _role(self, name: str, command: str) -> Child:
        return Child(
            name=name,
            # -P: a folder named like one of our packages, where the user happens to be, must not be taken for it.
            argv=[sys.executable, "-P", "-m", "streams.cli", command],
            env=environment(self.plan.settings, self._secrets),
            inherits=inherited_variables(self.plan.settings),
            log_path=self.plan.log_folder / f"{name}.log",
            ready_within_s=ROLE_READY_WITHIN_S,
        )


_OF_MANY = {
    " is stale: ": "are stale: no word from their workers yet",
    " exists on the broker and no worker ": "exist on the broker and no worker reads them yet",
    " records waiting to be counted": "have records waiting to be counted",
}
"""# part of a reason of /readyz about one partition: what is said of several"""


def not_ready_reason(status: int, answer: object) -> str:
    """Why it is not ready, from what /readyz answered, for people: what holds for many partitions is said once."""
    if not status:
        return "the API does not answer yet"
    reasons = answer.get("reasons") if isinstance(answer, dict) else None
    if not reasons:
        return f"the API answers {status}"
    grouped: list[str] = []
    for part, together in _OF_MANY.items():
        alike = [said for said in reasons if said.startswith("partition ") and part in said]
        if len(alike) > 1:
            grouped.append(f"{len(alike)} partitions {together}")
            reasons = [said for said in reasons if said not in alike]
    return "; ".join([*grouped, *reasons])


def waiting_message(what: str, for_s: float) -> str:
    """What is waited for, so long after all processes were started, for people.

    >>> waiting("the first answers are being made: ask again soon", 10)
    'still starting, as is usual for half a minute: the first answers are being made: ask again soon'
    """
    if for_s < USUAL_START_S:
        return f"still starting, as is usual for half a minute: {what}"
    return f"not ready after {for_s:.0f} s: {what}; the logs may say more"


async def require_redis(settings: Settings) -> None:
    """Raise SalepulseError unless a given Redis may hold counts."""
    redis = connect(settings)
    try:
        await check(redis)
    finally:
        await redis.aclose()


async def require_broker(kafka: KafkaTarget) -> None:
    """Raise SalepulseError unless a given broker answers."""
    async with kafka_errors(kafka):
        client = AIOKafkaClient(**kafka_client_config(kafka).options())
        try:
            await client.bootstrap()
        finally:
            await client.close()


def describe_child_event(event: ChildEvent) -> str | None:
    """What happened to a child, for people; None for what they need not know."""
    match event.kind:
        case ChildEventKind.DIED:
            return f"{event.name} {event.detail}; starting it again"
        case ChildEventKind.KILLED:
            return f"{event.name} was killed: {event.detail}"
        case ChildEventKind.READY:
            return f"{event.name} runs"
    return None
