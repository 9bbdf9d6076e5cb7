"""The supervisor with real child processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from streams.local.embedded.child import Child, ChildEvent, ChildEventKind
from streams.local.embedded.errors import ChildFailedError
from streams.local.embedded.supervisor import RestartPolicy, Supervisor
from tests.support.processes import alive
from tests.support.wait import eventually

SLEEPER = "import time; print('hello', flush=True); time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
QUICK = RestartPolicy(first_wait_s=0.01, longest_wait_s=0.05, most_deaths=3)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def wrote(log: Path, text: str):
    """Ready when the child's log holds `text`."""

    async def probe() -> str:
        return "" if log.exists() and text in log.read_text() else f"no {text!r} yet"

    return probe


def sleeper(tmp_path: Path, name: str = "sleeper", code: str = SLEEPER, **more: object) -> Child:
    return Child(name=name, argv=python(code), log_path=tmp_path / f"{name}.log", **more)


class TestWhileRunning:
    def test_start_waits_until_the_child_is_ready_and_leaving_ends_it(self, tmp_path: Path) -> None:
        events: list[ChildEvent] = []

        async def scenario() -> int:
            async with Supervisor(on_event=events.append) as supervisor:
                await supervisor.start(sleeper(tmp_path, ready=wrote(tmp_path / "sleeper.log", "hello")))
                pid = supervisor.pid("sleeper")
                assert alive(pid)
            return pid

        assert not alive(asyncio.run(scenario()))
        assert [event.kind for event in events] == [
            ChildEventKind.STARTING,
            ChildEventKind.READY,
            ChildEventKind.STOPPED,
        ]

    def test_a_killed_child_is_restarted_and_counted(self, tmp_path: Path) -> None:
        made_ready = []

        async def on_ready() -> None:
            made_ready.append(1)

        async def scenario() -> None:
            async with Supervisor(policy=QUICK) as supervisor:
                await supervisor.start(sleeper(tmp_path, on_ready=on_ready))
                first = supervisor.pid("sleeper")
                os.kill(first, signal.SIGKILL)
                while supervisor.restarts["sleeper"] == 0 or len(made_ready) < 2:
                    await asyncio.sleep(0.01)
                assert supervisor.pid("sleeper") != first
                assert alive(supervisor.pid("sleeper"))

        asyncio.run(asyncio.wait_for(scenario(), 20))

    def test_a_child_that_dies_repeatedly_makes_wait_raise_with_its_log(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with Supervisor(policy=QUICK) as supervisor:
                await supervisor.start(
                    sleeper(tmp_path, code="import time; time.sleep(0.1); raise SystemExit('no disk')")
                )
                await supervisor.wait()

        with pytest.raises(ChildFailedError, match=r"died 3 times.*\n  no disk"):
            asyncio.run(asyncio.wait_for(scenario(), 20))

    def test_exits_that_ask_for_a_restart_are_no_deaths(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with Supervisor(policy=QUICK) as supervisor:
                code = "import time; time.sleep(0.05); raise SystemExit(3)"
                child = replace(sleeper(tmp_path, code=code), restart_codes=frozenset({3}))
                await supervisor.start(child)
                while supervisor.restarts[child.name] <= QUICK.most_deaths:
                    await asyncio.sleep(0.01)

        asyncio.run(asyncio.wait_for(scenario(), 20))

    def test_a_child_with_wrong_settings_is_not_restarted(self, tmp_path: Path) -> None:
        code = "import sys; print('rules.yaml:3: no rule', file=sys.stderr); sys.exit(2)"

        async def scenario() -> None:
            async with Supervisor(policy=QUICK) as supervisor:
                await supervisor.start(sleeper(tmp_path, code=f"import time; time.sleep(0.1); {code}"))
                await supervisor.wait()

        with pytest.raises(ChildFailedError, match=r"exit code 2: its settings are wrong\n  rules.yaml:3: no rule"):
            asyncio.run(asyncio.wait_for(scenario(), 20))

    def test_the_environment_is_extended(self, tmp_path: Path) -> None:
        code = f"import os; print(os.environ['FLAVOUR'], 'PATH' in os.environ, flush=True); {SLEEPER}"

        async def scenario() -> None:
            async with Supervisor() as supervisor:
                ready = wrote(tmp_path / "sleeper.log", "mint True")
                await supervisor.start(sleeper(tmp_path, code=code, env={"FLAVOUR": "mint"}, ready=ready))

        asyncio.run(scenario())


class TestStarting:
    def test_a_child_that_is_not_ready_in_time_is_killed_and_its_log_shown(self, tmp_path: Path) -> None:
        (tmp_path / "sleeper.log").write_text("from an earlier run\n")

        async def scenario() -> None:
            async with Supervisor() as supervisor:
                never = wrote(tmp_path / "sleeper.log", "never")
                await supervisor.start(sleeper(tmp_path, code=STUBBORN, ready=never, ready_within_s=0.5))

        with pytest.raises(ChildFailedError, match=r"not ready within 0.5 s: no 'never' yet") as caught:
            asyncio.run(scenario())
        assert str(caught.value).splitlines()[1:] == ["  up"]

    def test_a_child_that_ends_before_it_is_ready_is_an_error_at_once(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with Supervisor() as supervisor:
                ready = wrote(tmp_path / "sleeper.log", "never")
                await supervisor.start(sleeper(tmp_path, code="raise SystemExit('bad flag')", ready=ready))

        with pytest.raises(ChildFailedError, match=r"ended with exit code 1\n  bad flag"):
            asyncio.run(scenario())

    def test_a_missing_program_is_named(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with Supervisor() as supervisor:
                ready = wrote(tmp_path / "ghost.log", "never")
                await supervisor.start(
                    Child(name="ghost", argv=["/no/such/program"], log_path=tmp_path / "ghost.log", ready=ready)
                )

        with pytest.raises(ChildFailedError, match="cannot run /no/such/program: No such file"):
            asyncio.run(scenario())

    def test_a_stop_while_a_child_is_starting_ends_the_block_quietly(self, tmp_path: Path) -> None:
        reached = []

        async def scenario() -> None:
            async with Supervisor() as supervisor:
                asyncio.get_running_loop().call_later(0.2, supervisor.request_stop)
                await supervisor.start(sleeper(tmp_path, ready=wrote(tmp_path / "sleeper.log", "never")))
                reached.append("after start")

        asyncio.run(asyncio.wait_for(scenario(), 20))
        assert not reached


class TestStopping:
    def test_children_are_ended_in_reverse_order_and_killed_after_the_grace_time(self, tmp_path: Path) -> None:
        events: list[ChildEvent] = []

        async def scenario() -> None:
            async with Supervisor(on_event=events.append) as supervisor:
                await supervisor.start(sleeper(tmp_path, "first"))
                log = tmp_path / "second.log"
                await supervisor.start(sleeper(tmp_path, "second", STUBBORN, ready=wrote(log, "up"), grace_s=0.3))
                await supervisor.start(sleeper(tmp_path, "third"))

        asyncio.run(scenario())
        ended = [
            (event.name, event.kind)
            for event in events
            if event.kind in {ChildEventKind.STOPPED, ChildEventKind.KILLED}
        ]
        assert ended == [
            ("third", ChildEventKind.STOPPED),
            ("second", ChildEventKind.KILLED),
            ("first", ChildEventKind.STOPPED),
        ]

    def test_processes_of_a_child_end_with_it(self, tmp_path: Path) -> None:
        code = (
            f"import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {SLEEPER!r}]); "
            "print(child.pid, flush=True); child.wait()"
        )
        log = tmp_path / "sleeper.log"

        async def scenario() -> None:
            async with Supervisor() as supervisor:
                await supervisor.start(sleeper(tmp_path, code=code, ready=wrote(log, "hello")))

        asyncio.run(scenario())
        grandchild = int(log.read_text().split()[0])
        assert eventually(lambda: not alive(grandchild), what="the grandchild is gone")


PARENT = """
import asyncio, pathlib, sys
from streams.local.embedded.child import Child
from streams.local.embedded.supervisor import Supervisor

folder = pathlib.Path(sys.argv[1])
plain = "import time; print('up', flush=True); time.sleep(600)"
ignoring = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + plain

async def main():
    async with Supervisor() as supervisor:
        for name, code in (("plain", plain), ("stubborn", ignoring)):
            log = folder / name
            async def ready(log=log):
                return "" if log.read_text() else "says nothing"
            argv, grace_s = [sys.executable, "-c", code], float(sys.argv[2])
            await supervisor.start(Child(name=name, argv=argv, log_path=log, ready=ready, grace_s=grace_s))
        print(supervisor.pid("plain"), supervisor.pid("stubborn"), flush=True)
        await supervisor.wait()
    print("stopped", flush=True)

asyncio.run(main())
"""


class TestTheParentsEnd:
    """The supervisor in its own process, ended in every way."""

    @pytest.fixture
    def run_parent(self, tmp_path: Path):
        parents: list[subprocess.Popen[str]] = []

        def run(grace_s: float) -> tuple[subprocess.Popen[str], list[int]]:
            parent = subprocess.Popen(
                [sys.executable, "-c", PARENT, str(tmp_path), str(grace_s)], stdout=subprocess.PIPE, text=True
            )
            parents.append(parent)
            assert parent.stdout
            return parent, [int(pid) for pid in parent.stdout.readline().split()]

        yield run
        for parent in parents:
            parent.kill()
            parent.communicate()

    def test_a_killed_supervisor_leaves_no_child(self, run_parent) -> None:
        parent, children = run_parent(10)
        assert len(children) == 2
        assert all(map(alive, children))
        parent.kill()
        eventually(lambda: not any(map(alive, children)), what="both children are gone")

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_a_signal_ends_all_children_and_the_supervisor(self, run_parent, number: signal.Signals) -> None:
        parent, children = run_parent(0.3)
        parent.send_signal(number)
        assert parent.communicate(timeout=10)[0] == "stopped\n"
        assert parent.returncode == 0
        assert not any(map(alive, children))

    def test_a_second_ctrl_c_kills_the_children(self, run_parent) -> None:
        parent, children = run_parent(60)
        parent.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert parent.poll() is None
        parent.send_signal(signal.SIGINT)
        assert parent.communicate(timeout=10)[0] == "stopped\n"
        assert not any(map(alive, children))

    def test_the_terminals_ctrl_c_does_not_reach_the_children(self, run_parent) -> None:
        parent, children = run_parent(10)
        assert {os.getsid(pid) for pid in children} == set(children)
        assert os.getsid(parent.pid) not in children
