"""Start a plan's servers and roles in order of dependency, and wait until the API is ready."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Sequence

from aiokafka.client import AIOKafkaClient

from consumers.errors import SalepulseError
from consumers.kafka.connection import KafkaTarget, kafka_client_config
from consumers.kafka.errors import kafka_errors
from consumers.sources.inputs import load_inputs
from consumers.topic_admin import TopicOutcome, create_source_topics, create_topics, default_plans
from streams.clock import now_ms
from streams.local.api_client import ApiClient
from streams.local.embedded.broker import broker_child
from streams.local.embedded.child import Child, ChildEvent, ChildEventKind
from streams.local.embedded.ports import free_ports
from streams.local.embedded.redis import redis_child
from streams.local.embedded.supervisor import Supervisor
from streams.local.stack.plan import StackPlan, environment
from streams.local.stack.secrets import inherited_variables, secrets_for_children, write_secrets
from streams.process.metrics_server import metrics_url
from streams.process.shutdown_watchdog import SUPERSEDED_CODE
from streams.settings import Settings
from streams.settings_report import display_value
from streams.store.connection import check, connect, open_store, wait_for_redis
from streams.store.reference_clock import server_time_ms
from streams.store.state import read_state

PrintLine = Callable[[str], None]
"""Prints a line for the user."""

ROLE_READY_WITHIN_S = 60.0
READY_POLL_S = 0.05
REMIND_EVERY_S, USUAL_START_S = 10.0, 30.0


class Stack:
    """Servers and roles of one plan, as children of a running supervisor.

    The embedded broker keeps messages in memory only: after a restart its topics are created again.
    """

    def __init__(
        self, plan: StackPlan, supervisor: Supervisor, print_line: PrintLine, *, extra_roles: Sequence[str] = ()
    ) -> None:
        self.plan = plan
        self._supervisor = supervisor
        self._print_line = print_line
        self._extra_roles = extra_roles
        self._served = False
        """Whether topics were created once, before a restart of the broker."""
        self._roles_since_ms = 0

    async def start(self) -> None:
        """Start everything and wait until the API is ready. Raises SalepulseError or ChildFailedError."""
        await self.start_servers()
        await self.start_roles()
        await self.until_ready()

    async def start_servers(self) -> None:
        """Start broker and Redis, and create the topics."""
        await asyncio.gather(self._broker(), self._redis())
        if self.plan.kafka_port is None:
            await self._supervisor.unless_over(self._create_topics())
        else:
            await self._supervisor.unless_over(self._topics_of_an_empty_broker())
        self._served = True

    async def start_roles(self) -> None:
        """Start workers, API server and other roles, with the addresses in their environment."""
        settings = self.plan.settings
        self._roles_since_ms = await store_now_ms(settings)
        self._secrets = write_secrets(self.plan.folder, secrets_for_children(settings, os.environ))
        worker_roles = {f"worker-{i + 1}": "worker" for i in range(self.plan.workers)}
        with_metrics = {**worker_roles, **{role: role for role in self._extra_roles}}
        metrics_off = settings.metrics_port == 0
        ports = dict(
            zip(with_metrics, [0] * len(with_metrics) if metrics_off else free_ports(len(with_metrics)), strict=True)
        )
        children = [self._role(name, role, metrics_port=ports[name]) for name, role in with_metrics.items()]
        children.append(self._role("serve", "serve"))
        if not metrics_off:
            urls = ", ".join(f"{metrics_url(settings, port)} ({name})" for name, port in ports.items())
            self._print_line(f"metrics: {urls}, {self.plan.url}/metrics (serve)")
        await asyncio.gather(*(self._supervisor.start(child) for child in children))

    async def until_ready(self) -> None:
        """Wait until /readyz is 200 and every partition has a heartbeat from a worker of this start."""
        api, began = ApiClient(self.plan.url, self.plan.settings.http_cert_file), time.monotonic()
        waited = began
        while True:
            status, answer = await self._supervisor.unless_over(api.get("/readyz"))
            if status == 200:
                if await self._supervisor.unless_over(
                    all_partitions_have_heartbeats(self.plan.settings, self._roles_since_ms)
                ):
                    return
                status, answer = 503, {"reasons": ["no heartbeat from the workers yet"]}
            await self._supervisor.unless_over(asyncio.sleep(READY_POLL_S))
            if time.monotonic() - waited >= REMIND_EVERY_S:
                waited = time.monotonic()
                self._print_line(waiting_message(not_ready_reason(status, answer), waited - began))

    async def _broker(self) -> None:
        plan = self.plan
        if plan.kafka_port is None:
            await require_broker(plan.settings.kafka)
            self._print_line(f"broker: {plan.settings.bootstrap}, external")
            return
        child = broker_child(plan.kafka_port, plan.log_folder / "broker.log", on_ready=self._broker_ready)
        await self._supervisor.start(child)
        self._print_line(
            f"broker: {plan.settings.bootstrap}, embedded: keeps messages in memory and loses them at the end"
        )

    async def _broker_ready(self) -> None:
        """Run after each start of the embedded broker. The first time, Redis may not be ready."""
        if self._served:
            self._print_line("broker restarted empty: its messages are lost, counts are kept")
            await self._topics_of_an_empty_broker()

    async def _topics_of_an_empty_broker(self) -> None:
        from streams.local.stack.positions import require_embedded_positions, reset_positions

        if not self._served:
            await wait_for_redis(None, lambda: require_embedded_positions(self.plan.settings))
        if await wait_for_redis(None, lambda: reset_positions(self.plan.settings)) and not self._served:
            self._print_line("counts of the last start are kept; events not counted then are lost with its broker")
        await self._create_topics()

    async def _redis(self) -> None:
        plan, url = self.plan, display_value(self.plan.settings.redis_url)
        if plan.redis_port is None:
            await self._supervisor.unless_over(require_redis(plan.settings))
            self._print_line(f"redis: {url}, external")
            return
        data = plan.folder / "redis"
        data.mkdir(mode=0o700, exist_ok=True)
        data.chmod(0o700)  # an earlier version created it world-readable
        await self._supervisor.start(redis_child(plan.redis_port, data, plan.log_folder / "redis.log"))
        self._print_line(f"redis: {url}, embedded, data in {data}")

    async def _create_topics(self) -> None:
        settings = self.plan.settings
        inputs = load_inputs(settings, exponent=settings.money_exponent)
        plans = default_plans(settings.partitions, inputs.names, inputs.feeds.keys() - inputs.sources.keys())
        for report in await create_topics(settings.kafka, plans, accepted=settings.accepted_topics):
            if report.unusable:
                raise SalepulseError(f"topic {report}")
            if report.outcome in (TopicOutcome.DIFFERS, TopicOutcome.OTHER_PARTITIONS):
                self._print_line(f"topic {report}")
        if self.plan.kafka_port is not None and inputs.sources:
            names = [inputs.names.on_broker(topic) for topic in inputs.sources]
            await create_source_topics(settings.kafka, names, settings.partitions)

    def _role(self, name: str, command: str, *, metrics_port: int = 0) -> Child:
        return Child(
            name=name,
            # -P: do not import a folder in the working directory that is named like one of our packages.
            argv=[sys.executable, "-P", "-m", "streams.cli", command],
            env={**environment(self.plan.settings, self._secrets), "SALEPULSE_METRICS_PORT": str(metrics_port)},
            inherits=inherited_variables(self.plan.settings),
            log_path=self.plan.log_folder / f"{name}.log",
            ready_within_s=ROLE_READY_WITHIN_S,
            restart_codes=frozenset({SUPERSEDED_CODE}),
        )


_OF_MANY = {
    " is stale: ": "are stale: no heartbeat from their workers yet",
    " exists on the broker and no worker ": "exist on the broker and no worker reads them yet",
    " records waiting to be counted": "have records waiting to be counted",
}
"""<part of a /readyz reason of one partition: text for several>"""


def not_ready_reason(status: int, answer: object) -> str:
    """Why the API is not ready, from /readyz; equal reasons of many partitions are grouped."""
    if not status:
        return "the API does not answer yet"
    reasons = answer.get("reasons") if isinstance(answer, dict) else None
    if not reasons:
        return f"the API answers {status}"
    grouped: list[str] = []
    for part, text in _OF_MANY.items():
        matching = [reason for reason in reasons if reason.startswith("partition ") and part in reason]
        if len(matching) > 1:
            grouped.append(f"{len(matching)} partitions {text}")
            reasons = [reason for reason in reasons if reason not in matching]
    return "; ".join([*grouped, *reasons])


def waiting_message(reason: str, for_s: float) -> str:
    """The reason for waiting, `for_s` after the start.

    >>> waiting_message("computing the first answers", 10)
    'still starting, usually up to half a minute: computing the first answers'
    """
    if for_s < USUAL_START_S:
        return f"still starting, usually up to half a minute: {reason}"
    return f"not ready after {for_s:.0f} s: {reason}; see the logs"


async def require_redis(settings: Settings) -> None:
    """Raise SalepulseError unless the external Redis can hold panes."""
    redis = connect(settings)
    try:
        await check(redis)
    finally:
        await redis.aclose()


async def require_broker(kafka: KafkaTarget) -> None:
    """Raise SalepulseError unless the external broker answers."""
    async with kafka_errors(kafka):
        client = AIOKafkaClient(**kafka_client_config(kafka).options())
        try:
            await client.bootstrap()
        finally:
            await client.close()


def describe_child_event(event: ChildEvent) -> str | None:
    """Text of a child's event; None for events not shown."""
    match event.kind:
        case ChildEventKind.DIED:
            return f"{event.name} {event.detail}; restarting it"
        case ChildEventKind.KILLED:
            return f"{event.name} was killed: {event.detail}"
        case ChildEventKind.READY:
            return f"{event.name} is running"
    return None


async def store_now_ms(settings: Settings) -> int:
    """Redis's clock, which workers use; this machine's while Redis does not answer."""
    try:
        async with open_store(settings) as (redis, keys):
            return int(await server_time_ms(redis, keys))
    except SalepulseError:
        return now_ms()


async def all_partitions_have_heartbeats(settings: Settings, since_ms: int) -> bool:
    """Whether every partition has a heartbeat after `since_ms`; False while Redis does not answer."""
    try:
        async with open_store(settings) as (redis, keys):
            state = await read_state(redis, keys)
    except SalepulseError:
        return False
    return not state.unread and all(
        (partition.heartbeat_ms or 0) >= since_ms for partition in state.existing_partitions.values()
    )
