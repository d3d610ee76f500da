"""Keeps a few processes running: in order, healthy, restarted, and stopped in reverse.

Knows nothing about what it runs: services are records (`ServiceSpec`). A service that ends by itself is
started again with growing pauses, and that is said aloud; a one-shot (migrations) must end with status 0
before the next service starts.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from domain.errors import ErrorCode, TeikiError
from runtime.embedded.processes import ProcessIdentity, end, identify, spawn, tail

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0
_STEADY_SECONDS: Final = 60.0
"""A service that ran this long is forgiven its earlier crashes."""
_POLL_SECONDS: Final = 0.05

Probe = Callable[[], Awaitable[bool]]
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class ServiceSpec:
    """One process: how it is started, when it counts as ready, how it is stopped."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str] | None = None
    """The whole environment; None: that of this process."""
    ready: Probe | None = None
    """Asked until true; None: ready once started."""
    before_start: Callable[[], None] | None = None
    one_shot: bool = False
    start_seconds: float = 30.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10.0
    error_code: ErrorCode = ErrorCode.ENGINE_UNAVAILABLE


def http_ready(url: str) -> Probe:
    """A probe: the address answers 200."""

    async def probe() -> bool:
        timeout = aiohttp.ClientTimeout(total=2)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    return probe


def file_ready(path: Path) -> tuple[Callable[[], None], Probe]:
    """A probe, and what to do before each start: the service writes this file once it serves."""

    async def probe() -> bool:
        return path.exists()  # noqa: ASYNC240 - one stat of a local file

    return lambda: path.unlink(missing_ok=True), probe


class Supervisor:
    """Runs services until stopped.

    Args:
        logs: directory of `<service>.log`.
        say: one line for people.
        changed: told the identities of all running children after each change, so that a crash of ours can be
            cleaned up by the next run.
    """

    def __init__(self, *, logs: Path, say: Say, changed: Callable[[list[ProcessIdentity]], None]) -> None:
        self._logs = logs
        self._say = say
        self._changed = changed
        self._running: dict[str, tuple[ServiceSpec, asyncio.subprocess.Process]] = {}
        self._adopted: list[ProcessIdentity] = []
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._stopping = False

    def log_of(self, name: str) -> Path:
        """Where a service's output goes."""
        return self._logs / f"{name.replace(' ', '-')}.log"

    def adopt(self, name: str, pid: int) -> None:
        """Records a child that somebody else stops (Postgres), for clean-up after a crash."""
        identity = identify(name, pid)
        if identity is not None:
            self._adopted.append(identity)
            self._publish()

    async def start(self, spec: ServiceSpec) -> None:
        """Starts one service and waits until it is ready (a one-shot: until it has ended well).

        Raises:
            TeikiError: the spec's code, with the last lines of the service's log.
        """
        process = await self._spawn(spec)
        if spec.one_shot:
            try:
                status: int | None = await asyncio.wait_for(process.wait(), spec.start_seconds)
            except TimeoutError:
                status = await end(process, with_signal=spec.stop_signal)
            self._forget(spec)
            if status != 0:
                raise self._failed(spec, f"ended with status {status}")
            return
        if not await self._ready(spec, process):
            status = process.returncode
            await end(process, with_signal=spec.stop_signal)
            self._forget(spec)
            ended = f"did not become ready in {spec.start_seconds:g} s"
            raise self._failed(spec, ended if status is None else f"ended with status {status}")
        self._watchers[spec.name] = asyncio.create_task(self._watch(spec), name=f"watch {spec.name}")

    async def stop(self) -> None:
        """Stops all services, last started first."""
        self._stopping = True
        for watcher in self._watchers.values():
            watcher.cancel()
        await asyncio.gather(*self._watchers.values(), return_exceptions=True)
        for spec, process in reversed(list(self._running.values())):
            await end(process, with_signal=spec.stop_signal, patience_seconds=spec.stop_seconds)
            self._forget(spec)

    async def _watch(self, spec: ServiceSpec) -> None:
        clock = asyncio.get_running_loop().time
        pause = FIRST_PAUSE_SECONDS
        while True:
            process = self._running[spec.name][1]
            started = clock()
            status = await process.wait()
            if clock() - started > _STEADY_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            self._say(
                f"{spec.name} ended with status {status}; starting it again in {pause:g} s "
                f"(log: {self.log_of(spec.name)})"
            )
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            process = await self._spawn(spec)
            if await self._ready(spec, process):
                self._say(f"{spec.name} is ready again")
            elif process.returncode is None:
                self._say(f"{spec.name} does not become ready; starting it once more")
                await end(process, with_signal=spec.stop_signal, patience_seconds=spec.stop_seconds)

    async def _spawn(self, spec: ServiceSpec) -> asyncio.subprocess.Process:
        if spec.before_start is not None:
            spec.before_start()
        process = await spawn(
            spec.command,
            log=self.log_of(spec.name),
            env=spec.env,
            death_signal=spec.stop_signal,
        )
        self._running[spec.name] = (spec, process)
        self._publish()
        return process

    async def _ready(self, spec: ServiceSpec, process: asyncio.subprocess.Process) -> bool:
        deadline = asyncio.get_running_loop().time() + spec.start_seconds
        while process.returncode is None and asyncio.get_running_loop().time() < deadline:
            if spec.ready is None or await spec.ready():
                return True
            await asyncio.sleep(_POLL_SECONDS)
        return False

    def _failed(self, spec: ServiceSpec, what: str) -> TeikiError:
        log = self.log_of(spec.name)
        return TeikiError(
            spec.error_code, f"{spec.name} {what}:\n{tail(log)}", service=spec.name, log=str(log)
        )

    def _forget(self, spec: ServiceSpec) -> None:
        self._running.pop(spec.name, None)
        self._publish()

    def _publish(self) -> None:
        alive = [
            identity
            for name, (_, process) in self._running.items()
            if process.returncode is None and (identity := identify(name, process.pid)) is not None
        ]
        self._changed([*self._adopted, *alive])
