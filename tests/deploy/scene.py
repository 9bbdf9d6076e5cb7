"""`salepulse up` under a simulated sale, with Prometheus, Alertmanager and a receiver.

Configurations are those of `deploy/`, with this machine's ports and shorter times.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from consumers.kafka.producer import KeyedProducer
from streams.clock import now_ms
from streams.local.embedded.ports import LOOPBACK, free_port
from streams.local.stack.plan import temporary_data_dir
from streams.simulate import Season, SimulationConfig
from streams.simulate.sending import SendingPace, send_batches
from tests.deploy.alerting import deployed_alertmanager, received, receiver
from tests.deploy.files import DEPLOY
from tests.support.prometheus import Prometheus, prometheus
from tests.support.salepulse import Up, started
from tests.support.servers import Server

DURATION_S = 900
"""The tests need the last part of it: on a busy machine that is several minutes."""
BEGUN_S = 340
"""Age of the sale: long enough for every type of event to have occurred."""


@dataclass
class Scene:
    """The running processes."""

    up: Up
    prometheus: Prometheus
    alertmanager: Server
    receiver: Server

    def received(self, path: str) -> list[Any]:
        """The messages of the receiver on a path."""
        return [one["body"] for one in received(self.receiver) if one["path"] == path]


@contextlib.contextmanager
def scene() -> Iterator[Scene]:
    """All processes, and a running sale."""
    with ExitStack() as ending:
        folder = ending.enter_context(temporary_data_dir())
        alert_receiver = ending.enter_context(receiver(folder))
        alertmanager = ending.enter_context(deployed_alertmanager(folder, alert_receiver.port))
        up = ending.enter_context(_up(folder, alertmanager.port))
        ending.enter_context(_sale(up))
        port = free_port()
        config = _prometheus_config(folder, up, alertmanager.port, port)
        yield Scene(up, ending.enter_context(prometheus(config, port)), alertmanager, alert_receiver)


@contextlib.contextmanager
def _up(folder: Path, alertmanager_port: int) -> Iterator[Up]:
    """`salepulse up`, with Alertmanager as a receiver."""
    to = {"name": "alertmanager", "type": "alertmanager", "url": f"http://{LOOPBACK}:{alertmanager_port}"}
    receivers = folder / "receivers.yaml"
    receivers.write_text(yaml.safe_dump({"receivers": [to], "allow_networks": ["127.0.0.0/8"]}))
    (folder / "salepulse.toml").write_text(f'alerts_receivers = "{receivers}"\n')
    with started(Up("--partitions", "2", cwd=folder)) as up:
        assert isinstance(up, Up)
        up.until("ready ")
        yield up


@contextlib.contextmanager
def _sale(up: Up) -> Iterator[None]:
    """A running sale, with an earlier one for comparison."""
    start_ms = now_ms() - BEGUN_S * 1000
    season = Season(SimulationConfig.sized(rate=100, duration_s=DURATION_S, start_ms=start_ms), earlier=1)
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def play() -> None:
        async with KeyedProducer(f"{LOOPBACK}:{up.kafka_port}") as producer:
            pace = SendingPace.real_time(start_ms)
            await send_batches(producer, season.batches(200), pace, stop=stop, on_sent=lambda batch: None)

    player = threading.Thread(target=lambda: loop.run_until_complete(play()), name="sale")
    player.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        player.join(20)
        loop.close()


def _prometheus_config(folder: Path, up: Up, alertmanager_port: int, own_port: int) -> Path:
    """The configuration of `deploy/`, with these targets."""
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    config["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(DEPLOY / "prometheus" / "rules" / "*.yml")]
    config["alerting"]["alertmanagers"] = [{"static_configs": [_target(alertmanager_port)]}]
    ours = [_target(urlsplit(url).port or 0, role=name.partition("-")[0]) for name, url in up.metrics_urls.items()]
    targets = {"salepulse": ours, "prometheus": [_target(own_port)], "alertmanager": [_target(alertmanager_port)]}
    for job in config["scrape_configs"]:
        job.pop("dns_sd_configs", None)
        job.pop("relabel_configs", None)
        job.pop("authorization", None)  # no token is required on loopback
        job["static_configs"] = targets[job["job_name"]]
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    return path


def _target(port: int, **labels: str) -> dict[str, Any]:
    return {"targets": [f"{LOOPBACK}:{port}"], "labels": labels}
