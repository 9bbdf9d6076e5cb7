"""Start child processes, restart those that die, and end them all on Ctrl-C, SIGTERM or the supervisor's death.

    async with Supervisor(on_event=show) as supervisor:
        await supervisor.start(broker_child(port, logs / "broker.log"))   # returns when it is ready
        await supervisor.start(worker)
        await supervisor.wait()                                           # until Ctrl-C, SIGTERM or request_stop()

Children run in their own sessions, so that the terminal's Ctrl-C reaches only the supervisor, which ends them in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from consumers.errors import UsageError
from streams.local.embedded.child import Child, ChildEvent, ChildEventKind, describe_exit
from streams.local.embedded.errors import ChildFailedError
from streams.local.embedded.guard import guarded

T = TypeVar("T")

PROBE_EVERY_S = 0.05
TRIM_EVERY_S = 5.0
MAX_LOG_BYTES = 16 * 2**20
TAIL_LINES, TAIL_BYTES = 15, 8192
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequestedError(Exception):
    """A stop was requested while a child was starting. The supervisor's `async with` block swallows it."""


@dataclass(frozen=True, kw_only=True)
class RestartPolicy:
    """Exponential back-off of restarts, with a limit."""

    first_wait_s: float = 0.2
    longest_wait_s: float = 10
    most_deaths: int = 5
    """Deaths within `window_s` after which the supervisor fails."""
    window_s: float = 60

    def wait_s(self, deaths: int) -> float:
        """Pause before the restart after the `deaths`-th death in the window."""
        return float(min(self.first_wait_s * 2 ** (deaths - 1), self.longest_wait_s))


@dataclass
class _Running:
    child: Child
    process: asyncio.subprocess.Process
    log_start: int
    """Size of the log when the process started."""
    deaths: deque[float] = field(default_factory=deque)
    keeper: asyncio.Task[None] | None = None


class Supervisor:
    """Use as an async context manager, in the main thread."""

    def __init__(
        self,
        *,
        on_event: Callable[[ChildEvent], None] = lambda _event: None,
        policy: RestartPolicy | None = None,
    ) -> None:
        self.restarts: Counter[str] = Counter()
        """<child: restarts>"""
        self._on_event = on_event
        self._policy = policy or RestartPolicy()
        self._former_handlers: dict[signal.Signals, Any] = {}
        self._running: dict[str, _Running] = {}  # in the order of their start
        self._stopping = False

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = loop.create_future()
        for number in STOP_SIGNALS:
            self._former_handlers[number] = signal.getsignal(number)
            loop.add_signal_handler(number, self._on_signal)
        self._trimmer = asyncio.create_task(self._trim_logs())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        try:
            await self.stop()
        finally:
            self._kill_all()  # stop() may have been cancelled
            self._trimmer.cancel()
            for number, handler in self._former_handlers.items():
                asyncio.get_running_loop().remove_signal_handler(number)
                signal.signal(number, handler)
            if self._over.done():
                self._over.exception()  # mark as retrieved
        return kind is StopRequestedError

    async def start(self, child: Child) -> None:
        """Start a child and wait until it is ready.

        Raises ChildFailedError if it ends or is not ready in time, and StopRequestedError if a stop is requested. Once
        ready, it is restarted whenever it dies.
        """
        if child.name in self._running:
            raise ValueError(f"a child named {child.name} exists")
        self._raise_if_over()
        running = await self._spawn(child)
        self._running[child.name] = running
        problem = await self._until_ready(running)
        if problem:
            raise ChildFailedError(child.name, problem, self._tail(running))
        running.keeper = asyncio.create_task(self._restart_on_death(running))

    async def wait(self) -> None:
        """Wait for a requested stop. Raises ChildFailedError if a child dies repeatedly."""
        await asyncio.shield(self._over)

    def request_stop(self) -> None:
        """Make wait() return. Idempotent."""
        if not self._over.done():
            self._over.set_result(None)

    def pid(self, name: str) -> int:
        """Process id of a child."""
        return self._running[name].process.pid

    async def stop(self) -> None:
        """End all children in reverse order of their start: SIGTERM, after the grace time SIGKILL."""
        self._stopping = True
        self.request_stop()
        for running in self._running.values():
            if running.keeper:
                running.keeper.cancel()
        for running in reversed(self._running.values()):
            if running.process.returncode is not None:
                continue
            with contextlib.suppress(ProcessLookupError):
                running.process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(running.process.wait(), running.child.grace_s)
                self._emit(running, ChildEventKind.STOPPED)
            except TimeoutError:
                await self._kill(running, f"still running {running.child.grace_s:g} s after SIGTERM")
            _kill_group(running)

    async def _spawn(self, child: Child) -> _Running:
        child.log_path.parent.mkdir(parents=True, exist_ok=True)
        self._on_event(ChildEvent(child.name, ChildEventKind.STARTING))
        with child.log_path.open("ab") as log:
            log_start = log.tell()
            process = await asyncio.create_subprocess_exec(
                *guarded(list(child.argv)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                env={**{name: text for name, text in os.environ.items() if child.inherits(name)}, **child.env},
                start_new_session=True,
            )
        return _Running(child, process, log_start)

    async def _until_ready(self, running: _Running) -> str:
        """Wait for readiness; returns "" or the problem, after ending the process."""
        child, process, missing = running.child, running.process, ""
        deadline = time.monotonic() + child.ready_within_s
        while time.monotonic() < deadline:
            missing = await self.unless_over(child.ready())
            if process.returncode is not None:
                return describe_exit(process.returncode)
            if not missing:
                if child.on_ready:
                    await self.unless_over(child.on_ready())
                self._emit(running, ChildEventKind.READY)
                return ""
            await asyncio.sleep(PROBE_EVERY_S)
        problem = f"was not ready within {child.ready_within_s:g} s: {missing}"
        await self._kill(running, problem)
        return problem

    async def _restart_on_death(self, running: _Running) -> None:
        """Restart the child whenever it dies, within the policy, unless no restart can help."""
        child, policy, deaths = running.child, self._policy, running.deaths
        try:
            while True:
                code = await running.process.wait()
                reason = describe_exit(code)
                _kill_group(running)
                self._emit(running, ChildEventKind.DIED, reason)
                if code == UsageError.exit_code:
                    raise ChildFailedError(child.name, f"{reason}: its settings are wrong", self._tail(running))
                if code not in child.restart_codes:
                    deaths.append(time.monotonic())
                while deaths and deaths[0] < time.monotonic() - policy.window_s:
                    deaths.popleft()
                if len(deaths) >= policy.most_deaths:
                    raise ChildFailedError(
                        child.name,
                        f"died {len(deaths)} times within {policy.window_s:g} s; the last time it {reason}",
                        self._tail(running),
                    )
                await asyncio.sleep(policy.wait_s(max(1, len(deaths))))
                fresh = await self._spawn(child)
                running.process, running.log_start = fresh.process, fresh.log_start
                self.restarts[child.name] += 1
                await self._until_ready(running)
        except StopRequestedError:
            return
        except Exception as error:
            if not self._over.done():
                self._over.set_exception(error)

    async def unless_over(self, work: Awaitable[T]) -> T:
        """The result of `work`. Raises StopRequestedError or ChildFailedError if that happens first."""
        task: asyncio.Future[Any] = asyncio.ensure_future(work)
        try:
            await asyncio.wait({task, self._over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not task.done():
                task.cancel()
        self._raise_if_over()
        result: T = task.result()
        return result

    def _raise_if_over(self) -> None:
        if self._over.done():
            self._over.result()
            raise StopRequestedError

    async def _kill(self, running: _Running, why: str) -> None:
        _kill_group(running)
        await running.process.wait()
        self._emit(running, ChildEventKind.KILLED, why)

    def _kill_all(self) -> None:
        for running in self._running.values():
            if running.process.returncode is None:
                _kill_group(running)

    def _on_signal(self) -> None:
        if self._stopping:  # second signal
            self._kill_all()
        self.request_stop()

    async def _trim_logs(self) -> None:
        while True:
            await asyncio.sleep(TRIM_EVERY_S)
            for running in self._running.values():
                try:
                    trim(running.child.log_path, MAX_LOG_BYTES)
                except OSError as error:
                    sys.stderr.write(f"cannot rotate {running.child.log_path}: {error}\n")

    def _tail(self, running: _Running) -> list[str]:
        return tail(running.child.log_path, running.log_start)

    def _emit(self, running: _Running, kind: ChildEventKind, detail: str = "") -> None:
        self._on_event(ChildEvent(running.child.name, kind, detail))


def _kill_group(running: _Running) -> None:
    """Send SIGKILL to the process group of a child."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(running.process.pid, signal.SIGKILL)


def tail(path: Path, since: int = 0) -> list[str]:
    """The last lines of a log at or after byte `since`; none if the file does not exist."""
    with contextlib.suppress(OSError), path.open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        log.seek(max(since if since <= size else 0, size - TAIL_BYTES))
        return log.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
    return []


def trim(path: Path, max_bytes: int) -> bool:
    """Rotate a log larger than `max_bytes` to NAME.1; returns whether it did.

    The child keeps its file open in append mode; lines written during the copy may be lost.
    """
    if not path.exists() or path.stat().st_size <= max_bytes:
        return False
    shutil.copyfile(path, path.with_name(path.name + ".1"))
    os.truncate(path, 0)
    return True
