"""Everything works with only the permissions of `deploy/kafka/acls.sh`, on an Apache Kafka that denies all others."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.admin import CreateAclsRequest
from pydantic import SecretStr

from consumers.kafka.connection import KafkaClientConfig, SaslMechanism
from consumers.kafka.producer import OutgoingMessage, send_all
from consumers.settings import IngestSettings
from consumers.topics import Topic
from streams.clock import now_ms
from tests.deploy.files import DEPLOY
from tests.support.kafka import Listener, apache_kafka
from tests.support.salepulse import Running, failure, salepulse, started
from tests.support.secure_kafka import PASSWORD
from tests.support.servers import Server, redis_server
from tests.support.wait import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

USERS = ("salepulse-worker", "salepulse-alerts", "salepulse-admin", "salepulse-shop")
OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8, "DescribeConfigs": 10, "AlterConfigs": 11}
TOPIC, GROUP, LITERAL, ALLOW = 2, 3, 3, 3
"""Numbers of Kafka's protocol."""
LOGICAL: Mapping[str, str] = {}
OTHER = {
    "topic_prefix": "eu.",
    "topic_orders": "order-events",
    "topic_dead_letters": "refused",
    "group": "eu-salepulse",
}
"""Other names of the topics and the workers' group, for which the script can grant permissions."""
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
_AUTHORIZER = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"


@dataclass(frozen=True)
class Guarded:
    """A broker with ACLs, and a Redis for counts."""

    listener: Listener
    store: Server
    folder: Path

    def env(self, user: str, names: Mapping[str, str] = LOGICAL) -> dict[str, str]:
        """Settings of a user, for topics with these names."""
        settings = {
            **names,
            "bootstrap": self.listener.bootstrap,
            "kafka_sasl": "SCRAM-SHA-512",
            "kafka_user": user,
            "kafka_password": PASSWORD,
            "redis_url": self.store.url,
            "partitions": "2",
        }
        return {f"SALEPULSE_{name.upper()}": text for name, text in settings.items()}

    def kafka(self, user: str, names: Mapping[str, str]) -> KafkaClientConfig:
        named = IngestSettings(**names).topic_names
        return KafkaClientConfig(
            self.listener.bootstrap, None, SaslMechanism.SCRAM_SHA_512, user, SecretStr(PASSWORD), topics=named
        )

    def totals(self, prefix: str) -> dict[str, int]:
        with redis.Redis.from_url(self.store.url, decode_responses=True) as client:
            held = client.hgetall(f"{prefix}:{{0}}:totals")
        return {name: int(count) for name, count in held.items()}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """With the permissions of the script, and the topics created by an authorized user."""
    folder = tmp_path_factory.mktemp("rights")
    settings = {"sasl.enabled.mechanisms": "SCRAM-SHA-512", "scram-sha-512.sasl.jaas.config": _SCRAM}
    listener = Listener("guarded", "SASL_PLAINTEXT", settings)
    refusing = [f"authorizer.class.name={_AUTHORIZER}", "super.users=User:ANONYMOUS"]
    scram = [f"SCRAM-SHA-512=[name={user},password={PASSWORD}]" for user in USERS]
    with apache_kafka(listeners=[listener], scram=scram, settings=refusing) as server, redis_server() as store:
        made = Guarded(listener, store, folder)
        for names in (LOGICAL, OTHER):
            asyncio.run(_allow(server.bootstrap, _script(folder, names)))
            done = salepulse("topics", "create", cwd=folder, env=made.env("salepulse-admin", names))
            assert done.returncode == 0, done.stderr
        yield made


@pytest.mark.parametrize("names", [LOGICAL, OTHER], ids=["logical", "other"])
def test_the_documented_permissions_suffice_for_workers_serve_and_alerts(
    guarded: Guarded, names: Mapping[str, str], tmp_path: Path
) -> None:
    events = [_click(i) for i in range(50)]
    asyncio.run(
        send_all(guarded.kafka("salepulse-shop", names), [*events, OutgoingMessage(Topic.ORDERS, b"k", b"no JSON")])
    )
    folders = {name: tmp_path / name for name in ("worker", "alerts")}
    for folder in folders.values():
        folder.mkdir()
    prefix = "other" if names else "salepulse"
    named = {**names, "redis_prefix": prefix}
    worker = Running("worker", cwd=folders["worker"], env=guarded.env("salepulse-worker", named))
    alerts = Running("alerts", cwd=folders["alerts"], env=guarded.env("salepulse-alerts", named))
    with started(worker), started(alerts):
        counted = {"events,clicks,page_view": 50, "rejected,orders,bad_json": 1}
        eventually(lambda: counted.items() <= guarded.totals(prefix).items(), within_s=60, what=f"{counted}")
        alerts.until("leading", within_s=60)
        alerts.until("joined the group", within_s=60)
    assert worker.process.returncode == alerts.process.returncode == 0
    assert "Authorization" not in worker.stderr + alerts.stderr
    env = guarded.env("salepulse-admin", named)
    listed = salepulse("dead-letters", "list", "--json", cwd=guarded.folder, env=env)
    assert listed.returncode == 0, listed.stderr
    assert "bad_json" in listed.stdout
    asyncio.run(send_all(guarded.kafka("salepulse-alerts", names), [OutgoingMessage(Topic.ALERTS, b"k", b"{}")]))


@pytest.mark.parametrize(
    ("user", "command"),
    [
        ("salepulse-shop", ("worker",)),
        ("salepulse-shop", ("alerts",)),
        ("salepulse-worker", ("replay", "recording")),
    ],
)
def test_a_missing_permission_is_reported_in_one_line(guarded: Guarded, user: str, command: Sequence[str]) -> None:
    recording = guarded.folder / "recording"
    recording.mkdir(exist_ok=True)
    (recording / "clicks.ndjson").write_bytes((_click(99).value or b"") + b"\n")
    code, line = failure(*command, cwd=guarded.folder, env=guarded.env(user))
    assert (code, "not authorized at" in line, "grant access" in line) == (1, True, True), line


def _click(number: int) -> OutgoingMessage:
    event = {"event_id": f"e{number}", "type": "page_view", "ts": now_ms(), "user_id": "u"}
    return OutgoingMessage(Topic.CLICKS, b"u", json.dumps(event | {"session_id": "s"}).encode())


def _script(folder: Path, names: Mapping[str, str]) -> list[argparse.Namespace]:
    """The commands of Kafka's own tool that the script runs, for topics with these names."""
    program, calls = folder / "bin" / "kafka-acls.sh", folder / "calls"
    program.parent.mkdir(exist_ok=True)
    calls.unlink(missing_ok=True)
    program.write_text('#!/bin/sh\necho "$@" >> ' + str(calls) + "\n")
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    argv = [str(DEPLOY / "kafka" / "acls.sh"), "--bootstrap-server", "kafka-1:9092"]
    named = {f"SALEPULSE_{name.upper()}": text for name, text in names.items()}
    subprocess.run(argv, env={**os.environ, **named, "PATH": path}, check=True)
    parser = argparse.ArgumentParser(exit_on_error=True)
    parser.add_argument("--bootstrap-server", required=True)
    parser.add_argument("--add", action="store_true", required=True)
    parser.add_argument("--allow-principal", required=True)
    for name in ("operation", "topic", "group"):
        parser.add_argument(f"--{name}", action="append", default=[])
    return [parser.parse_args(line.split()) for line in calls.read_text().splitlines()]


async def _allow(bootstrap: str, calls: Sequence[argparse.Namespace]) -> None:
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    await client.bootstrap()
    try:
        for call in calls:
            named = [*((TOPIC, name) for name in call.topic), *((GROUP, name) for name in call.group)]
            for kind, name in named:
                for operation in call.operation:
                    what = (kind, name, LITERAL, call.allow_principal, "*", OPERATIONS[operation], ALLOW)
                    answer = await client.send(client.get_random_node(), CreateAclsRequest(*what))
                    assert [code for code, _ in answer.creation_responses] == [0], answer
    finally:
        await client.close()
