"""Apache Kafka in KRaft mode, from its published jars: one node, or a cluster of combined nodes.

Requires Java 17, and Maven once: it downloads the jars into `.cache/kafka/VERSION/` in the repository.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from streams.local.embedded.child import kafka_ready
from streams.local.embedded.ports import LOOPBACK, free_port
from streams.local.stack.plan import temporary_data_dir
from tests.support.servers import Server

VERSION = "4.3.0"
CACHE = Path(__file__).parents[2] / ".cache" / "kafka"
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>salepulse</groupId><artifactId>kafka-jars</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{version}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""
LARGEST_MESSAGE = 17 * 2**20
"""Bytes: a value of 16 MiB with overhead."""


@dataclass(frozen=True)
class Listener:
    """A further listener of a broker on `localhost`."""

    name: str
    """In lower case; also the prefix of its settings."""
    protocol: str
    """SSL, SASL_SSL, SASL_PLAINTEXT or PLAINTEXT."""
    settings: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)

    @property
    def bootstrap(self) -> str:
        return f"localhost:{self.port}"


class KafkaUnavailableError(Exception):
    """Java or Maven is missing, or the jars cannot be downloaded."""


def kafka_jars(version: str = VERSION) -> Path:
    """The folder of Kafka's jars, downloaded by Maven if necessary."""
    folder = CACHE / version
    if folder.is_dir():
        return folder
    if not shutil.which("mvn"):
        raise KafkaUnavailableError(f"Apache Kafka {version} is not in {CACHE} and there is no mvn to fetch it")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=".getting-") as scratch:
        pom, jars = Path(scratch, "pom.xml"), Path(scratch, "jars")
        pom.write_text(POM.format(version=version))
        get = ["mvn", "-B", "-q", "-f", pom, "dependency:copy-dependencies", f"-DoutputDirectory={jars}"]
        done = subprocess.run(get, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode or not jars.is_dir():
            raise KafkaUnavailableError(
                f"Maven cannot download Apache Kafka {version}:\n{(done.stdout + done.stderr)[-2000:]}"
            )
        # Atomic. If another process was faster, its copy is used.
        with contextlib.suppress(OSError):
            jars.rename(folder)
    return folder


def java() -> str:
    """The Java program: JAVA_HOME's, else the one on PATH."""
    home = os.environ.get("JAVA_HOME")
    program = shutil.which(os.path.join(home, "bin", "java") if home else "java")
    if not program:
        raise KafkaUnavailableError("Apache Kafka needs Java 17 or newer, and there is no java")
    return program


def java_command(
    jars: Path, main_class: str, *arguments: str, memory: str = "512m", classes: Sequence[Path] = ()
) -> list[str]:
    return [
        java(),
        f"-Xmx{memory}",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",  # starts sooner, and uses less CPU
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        *("-cp", ":".join([f"{jars}/*", *map(str, classes)])),
        main_class,
        *arguments,
    ]


def random_id() -> str:
    """22 characters of base64, like Kafka's ids."""
    # A leading dash would be read as a flag.
    return "A" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]


@contextlib.contextmanager
def apache_kafka(
    *,
    version: str = VERSION,
    memory: str = "512m",
    port: int = 0,
    advertised: str = "",
    settings: Sequence[str] = (),
    listeners: Sequence[Listener] = (),
    scram: Sequence[str] = (),
    classes: Sequence[Path] = (),
) -> Iterator[Server]:
    """One combined node without topics.

    `advertised`: a proxy's host:port; `settings`: NAME=VALUE; `listeners`: besides its own, which is unprotected;
    `scram`: users, as `SCRAM-SHA-256=[name=...,password=...]`; `classes`: folders of Java classes that settings name.
    """
    with _nodes([port or free_port()], version, memory, [advertised], settings, listeners, scram, classes) as nodes:
        yield nodes[0]


@contextlib.contextmanager
def kafka_cluster(nodes: int = 3, *, version: str = VERSION, memory: str = "384m") -> Iterator[list[Server]]:
    """Several combined nodes. Use any node's `bootstrap`, or better all of them, separated by commas."""
    with _nodes([free_port() for _ in range(nodes)], version, memory, [""] * nodes, ()) as servers:
        yield servers


@contextlib.contextmanager
def _nodes(
    ports: list[int],
    version: str,
    memory: str,
    advertised: list[str],
    settings: Sequence[str],
    listeners: Sequence[Listener] = (),
    scram: Sequence[str] = (),
    classes: Sequence[Path] = (),
) -> Iterator[list[Server]]:
    jars, cluster, count = kafka_jars(version), random_id(), len(ports)
    controllers = [free_port() for _ in ports]
    initial = ",".join(f"{node}@{LOOPBACK}:{port}:{random_id()}" for node, port in enumerate(controllers, 1))
    servers = []
    with temporary_data_dir() as folder, contextlib.ExitStack() as stack:
        for node, port in enumerate(ports, 1):
            home = folder / str(node)
            home.mkdir()
            lines = [*_properties(node, port, controllers, advertised[node - 1], home, count, listeners), *settings]
            (home / "server.properties").write_text("\n".join(lines) + "\n")
            formatting = ["format", "-t", cluster, "-c", "server.properties", "--initial-controllers", initial]
            formatting += [text for user in scram for text in ("--add-scram", user)]
            subprocess.run(
                java_command(jars, "kafka.tools.StorageTool", *formatting, classes=classes),
                cwd=home,
                check=True,
                capture_output=True,
            )
            argv = java_command(jars, "kafka.Kafka", "server.properties", memory=memory, classes=classes)
            server = Server(f"kafka-{node}", argv, port, kafka_ready(LOOPBACK, port, count // 2 + 1), home)
            server.spawn()
            stack.callback(server.kill)  # a graceful shutdown takes 20 s once the quorum is lost, and no data is kept
            servers.append(server)
        for server in servers:
            server.wait_ready()
        yield servers


def _properties(
    node: int, port: int, controllers: list[int], advertised: str, home: Path, count: int, more: Sequence[Listener]
) -> list[str]:
    controller = controllers[node - 1]
    replicas, in_sync = min(count, 3), min(count, 2)
    at_loopback = "".join(f",{one.name.upper()}://{LOOPBACK}:{one.port}" for one in more)
    at_localhost = "".join(f",{one.name.upper()}://{one.bootstrap}" for one in more)
    at_broker = f"BROKER://{advertised or f'{LOOPBACK}:{port}'}"
    protocols = "".join(f",{one.name.upper()}:{one.protocol}" for one in more)
    return [
        "process.roles=broker,controller",
        f"node.id={node}",
        f"controller.quorum.bootstrap.servers={','.join(f'{LOOPBACK}:{port}' for port in controllers)}",
        f"listeners=BROKER://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller}{at_loopback}",
        f"advertised.listeners={at_broker},CONTROLLER://{LOOPBACK}:{controller}{at_localhost}",
        f"listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}",
        *(f"listener.name.{one.name}.{name}={text}" for one in more for name, text in one.settings.items()),
        "inter.broker.listener.name=BROKER",
        "controller.listener.names=CONTROLLER",
        f"log.dirs={home / 'data'}",
        f"default.replication.factor={replicas}",
        f"min.insync.replicas={in_sync}",
        f"offsets.topic.replication.factor={replicas}",
        "offsets.topic.num.partitions=4",
        f"transaction.state.log.replication.factor={replicas}",
        f"transaction.state.log.min.isr={in_sync}",
        "transaction.state.log.num.partitions=4",
        f"share.coordinator.state.topic.replication.factor={replicas}",
        f"share.coordinator.state.topic.min.isr={in_sync}",
        "group.initial.rebalance.delay.ms=0",
        "auto.create.topics.enable=false",
        f"message.max.bytes={LARGEST_MESSAGE}",
        f"replica.fetch.max.bytes={LARGEST_MESSAGE}",
        "broker.session.timeout.ms=6000",
        "log.retention.check.interval.ms=1000",
    ]
