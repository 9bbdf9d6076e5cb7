"""Shared fixtures: real servers, emptied before each test; the order of files; the treatment of skips and warnings."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import redis
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

from streams.settings import Settings
from tests.support.empty_broker import empty_broker
from tests.support.event_sets import REQUIRE_ALL, EventSets
from tests.support.kafka import KafkaUnavailableError, java, kafka_jars
from tests.support.kafka import apache_kafka as start_apache_kafka
from tests.support.redis_cluster import Cluster, redis_cluster
from tests.support.secure_kafka import SecureKafka
from tests.support.secure_kafka import secure_kafka as start_secure_kafka
from tests.support.servers import Server, tansu_broker
from tests.support.servers import redis_server as start_redis_server

REPOSITORY = Path(__file__).parents[1]

hypothesis.settings.register_profile("dev", deadline=None, print_blob=True)
hypothesis.settings.register_profile("ci", deadline=None, print_blob=True, max_examples=50)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="also run the tests marked full")


def pytest_configure(config: pytest.Config) -> None:
    """Warnings caused by salepulse are errors. Files stay in the order of `slow_first`."""
    config.addinivalue_line("filterwarnings", r"error:::(consumers|streams|alerts)(\.|$)")
    config.option.loadscopereorder = False


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--full"):
        left_out = [item for item in items if item.get_closest_marker("full")]
        items[:] = [item for item in items if not item.get_closest_marker("full")]
        config.hook.pytest_deselected(items=left_out)
    if hasattr(config, "workerinput"):
        items[:] = slow_first(items)


class QuickOnLastWorker(LoadFileScheduling):
    """Gives files to the last worker from the end of the order, and to others from its start.

    Slow tests mostly wait for processes of their own, quick ones compute: so both have a processor. None of the longest
    files is the last.
    """

    def _assign_work_unit(self, node: WorkerController) -> None:
        if node is self.nodes[-1] and node is not self.nodes[0]:
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> QuickOnLastWorker | None:
    return QuickOnLastWorker(config, log) if config.getoption("dist") == "loadfile" else None


def slow_first(items: list[pytest.Item]) -> list[pytest.Item]:
    """Files with the most slow tests first, then those with the most tests."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    tests = Counter(item.path for item in items)
    return sorted(items, key=lambda item: (-slow[item.path], -tests[item.path], str(item.path)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    return _no_skip(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    report = yield
    return _no_skip(report)


def _no_skip(report: pytest.TestReport | pytest.CollectReport) -> pytest.TestReport | pytest.CollectReport:
    """Turn skipped tests into failures if all tests are required."""
    if os.environ.get(REQUIRE_ALL) == "1" and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason}\nThis test was skipped, and {REQUIRE_ALL}=1 allows no skips."
    return report


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Tests marked `anyio` run on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def event_sets(tmp_path_factory: pytest.TempPathFactory) -> EventSets:
    """Folders of events with expected answers."""
    return EventSets(tmp_path_factory.mktemp("event-sets"))


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[Server]:
    """One Redis for the whole run; tests ask for `redis_server` or `redis_url` instead."""
    with start_redis_server() as server:
        yield server


@pytest.fixture
def redis_server(shared_redis: Server) -> Server:
    """A Redis without keys, functions or scripts. A test that kills or reconfigures it starts its own."""
    with redis.Redis.from_url(shared_redis.url) as client:
        client.flushall()
        client.function_flush()
        client.script_flush()
    return shared_redis


@pytest.fixture
def redis_url(redis_server: Server) -> str:
    """URL of a Redis without keys, functions or scripts."""
    return redis_server.url


@pytest.fixture(scope="session")
def shared_cluster() -> Iterator[Cluster]:
    """One Redis Cluster of three nodes for the whole run; tests ask for `cluster` instead."""
    with redis_cluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(shared_cluster: Cluster) -> Cluster:
    """A Redis Cluster of three nodes without keys or scripts. A test that kills a node starts its own cluster."""
    shared_cluster.empty()
    return shared_cluster


@pytest.fixture(params=["one", "cluster"])
def redis_settings(request: pytest.FixtureRequest) -> Settings:
    """Settings of an empty Redis: the test runs on a single Redis and on a cluster."""
    if request.param == "one":
        return Settings(redis_url=request.getfixturevalue("redis_url"))
    return Settings(redis_url=request.getfixturevalue("cluster").url, redis_cluster=True)


@pytest.fixture
def embedded_broker() -> Iterator[Server]:
    """A new embedded broker: starting one is faster than emptying one."""
    with tansu_broker() as server:
        yield server


@pytest.fixture(scope="session")
def shared_apache_kafka() -> Iterator[Server]:
    """One Apache Kafka for the whole run; tests ask for `apache_kafka` instead."""
    try:
        kafka_jars()
        java()
    except KafkaUnavailableError as missing:
        pytest.skip(str(missing))
    with start_apache_kafka() as server:
        yield server


@pytest.fixture
def apache_kafka(shared_apache_kafka: Server) -> Server:
    """An Apache Kafka without topics or groups."""
    empty_broker(shared_apache_kafka.bootstrap)
    return shared_apache_kafka


@pytest.fixture(scope="session")
def shared_secure_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """One Apache Kafka with TLS and users for the whole run; tests ask for `protected_kafka` instead."""
    try:
        kafka_jars()
        java()
    except KafkaUnavailableError as missing:
        pytest.skip(str(missing))
    with start_secure_kafka(tmp_path_factory.mktemp("secure-kafka")) as broker:
        yield broker


@pytest.fixture
def protected_kafka(shared_secure_kafka: SecureKafka) -> SecureKafka:
    """An Apache Kafka with TLS and users, without topics or groups."""
    empty_broker(shared_secure_kafka.server.bootstrap)
    return shared_secure_kafka


@pytest.fixture(params=["embedded", pytest.param("apache", marks=pytest.mark.kafka)])
def broker(request: pytest.FixtureRequest) -> Server:
    """An empty broker: the test runs on the embedded one and on Apache Kafka (unless `-m 'not kafka'`)."""
    name = {"embedded": "embedded_broker", "apache": "apache_kafka"}[request.param]
    server: Server = request.getfixturevalue(name)
    return server
