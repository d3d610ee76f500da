"""The two Temporal servers that come in wheels: the real one, and the one that skips time.

`DevServer` is the real Temporal server with its Web UI on SQLite. Two settings matter (performance.md §1):
write-ahead logging makes its file as fast as memory, and `timerProcessorMaxTimeShift` stops short timers from
firing a second late. `TimeSkippingServer` is the V1 test server with one global clock: one workflow family
at a time, and never `asyncio.gather` over results there (reference: temporal_and_style.md §1.9).
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from domain.errors import ErrorCode, TeikiError
from runtime.codec import KeyRing
from runtime.embedded.ports import LOOPBACK, free_ports
from runtime.embedded.processes import LEASH, end, program, spawn, tail
from runtime.search_attributes import SEARCH_ATTRIBUTES
from runtime.telemetry import process_runtime
from runtime.temporal import DEFAULT_NAMESPACE, ensure_search_attributes, teiki_plugin

FAST_TIMERS: Final = {
    "history.timerProcessorMaxTimeShift": '"1ms"',
    "history.timerProcessorMaxPollRPS": "1000",
    "history.timerProcessorMaxPollHostRPS": "3000",
    "history.transferProcessorMaxPollRPS": "1000",
    "history.transferProcessorMaxPollHostRPS": "3000",
}
"""Dynamic configuration for tests, demos and benchmarks: short timers fire on time instead of a
second late.
"""

CROWDS: Final = {
    # What is done stays in a queue's list until the next checkpoint. Narrowed to one namespace, that list is gone
    # through anew for every task that arrives: 10,000 at one instant took a third of the server's processor time.
    "history.queueShrinkPredicateMaxPendingKeys": "0",
    # A queue that seems stuck (all due at one instant) is not moved to a second reader, which stands behind the first.
    "history.timerQueueMaxReaderCount": "1",
    "history.transferQueueMaxReaderCount": "1",
    # The development server remembers 8,000 workflows; whoever is the next is read from the database at every step.
    "history.hostLevelCacheMaxSize": "50000",
    # 512 timers at once would stand before the one database connection, and an operator's command behind them.
    "history.timerProcessorSchedulerWorkerCount": "32",
    # Each look for timers goes over all that fired and are not cleared away; it brings up to a hundred.
    "history.timerProcessorMaxPollRPS": "50",
}
"""Dynamic configuration for one history shard on one database connection, when thousands are due at one instant.
What each is worth was measured: ARCHITECTURE.md, "The 1st of the month".
"""

DYNAMIC_CONFIG: Final = {**FAST_TIMERS, **CROWDS}
"""What the embedded server runs with."""

_START_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.05


def dev_server_command(
    *,
    port: int,
    ui_port: int | None,
    database: Path | None = None,
    codec_endpoint: str | None = None,
    search_attributes: Mapping[str, str] = SEARCH_ATTRIBUTES,
    dynamic_config: Mapping[str, str] = DYNAMIC_CONFIG,
    http_port: int | None = None,
    metrics_port: int | None = None,
) -> list[str]:
    """The command line of the real server; `database=None` keeps everything in memory, `ui_port=None`
    has no UI.
    """
    command = [
        *(str(program("temporal")), "server", "start-dev", "--ip", LOOPBACK, "--port", str(port)),
        *("--log-level", "warn", "--log-format", "json"),
    ]
    if ui_port is None:
        command.append("--headless")
    else:
        command += ["--ui-port", str(ui_port), "--ui-disable-news-fetch"]  # the feed would tell who runs what
        if codec_endpoint is not None:
            command += ["--ui-codec-endpoint", codec_endpoint]
    if database is not None:
        command += ["--db-filename", str(database)]
        command += ["--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=1"]
    if http_port is not None:
        command += ["--http-port", str(http_port)]
    if metrics_port is not None:
        command += ["--metrics-port", str(metrics_port)]
    for name, kind in search_attributes.items():
        command += ["--search-attribute", f"{name}={kind}"]
    for key, value in dynamic_config.items():
        command += ["--dynamic-config-value", f"{key}={value}"]
    return command


async def temporal_answers(address: str, namespace: str = DEFAULT_NAMESPACE) -> bool:
    """Whether the server at this address serves this namespace."""
    try:
        client = await Client.connect(address, namespace=namespace, runtime=process_runtime())
        await ensure_search_attributes(client, SEARCH_ATTRIBUTES)
    except (RuntimeError, RPCError):  # no connection yet; connected, but the namespace is not there yet
        return False
    return True


class DevServer:
    """The real Temporal server while the context lasts; in memory unless `database` names a file."""

    def __init__(
        self,
        *,
        database: Path | None = None,
        ui: bool = False,
        search_attributes: Mapping[str, str] = SEARCH_ATTRIBUTES,
        dynamic_config: Mapping[str, str] = DYNAMIC_CONFIG,
    ) -> None:
        self._database = database
        self._ui = ui
        self._search_attributes = search_attributes
        self._dynamic_config = dynamic_config
        self._home: tempfile.TemporaryDirectory[str] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self.address = ""
        self.ui_url: str | None = None
        self.metrics_url = ""
        """Prometheus metrics of the server itself: the benchmark counts actions there."""

    @property
    def process(self) -> asyncio.subprocess.Process:
        """The server's process."""
        assert self._process is not None, "the server was not started"
        return self._process

    async def client(self, keys: KeyRing | None, *, sandbox: bool = True) -> Client:
        """A client with Teiki's plugin; without keys, without a codec."""
        return await Client.connect(
            self.address, plugins=[teiki_plugin(keys, sandbox=sandbox)], runtime=process_runtime()
        )

    async def __aenter__(self) -> Self:
        self._home = tempfile.TemporaryDirectory(prefix="teiki-temporal-")
        log = Path(self._home.name) / "temporal.log"
        port, ui_port, http_port, metrics_port = free_ports(4)
        self.address = f"{LOOPBACK}:{port}"
        self.ui_url = f"http://{LOOPBACK}:{ui_port}" if self._ui else None
        self.metrics_url = f"http://{LOOPBACK}:{metrics_port}/metrics"
        command = dev_server_command(
            port=port,
            ui_port=ui_port if self._ui else None,
            database=self._database,
            search_attributes=self._search_attributes,
            dynamic_config=self._dynamic_config,
            http_port=http_port,
            metrics_port=metrics_port,
        )
        self._process = await spawn(command, log=log)
        deadline = asyncio.get_running_loop().time() + _START_SECONDS
        while not await temporal_answers(self.address):
            if self._process.returncode is not None or asyncio.get_running_loop().time() > deadline:
                message = f"The embedded Temporal server did not start:\n{tail(log)}"
                await self._stop()
                raise TeikiError(ErrorCode.ENGINE_UNAVAILABLE, message)
            await asyncio.sleep(_POLL_SECONDS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _stop(self) -> None:
        # What is only in memory needs no farewell, and the server takes its two seconds for one.
        await end(self.process, with_signal=signal.SIGKILL if self._database is None else signal.SIGTERM)
        if self._home is not None:
            self._home.cleanup()


class TimeSkippingServer(AbstractAsyncContextManager[WorkflowEnvironment]):
    """The V1 time-skipping server while the context lasts; entering gives its `WorkflowEnvironment`.

    The environment's client has Teiki's plugin (no codec without keys) and the search attributes are
    registered.
    """

    def __init__(
        self,
        keys: KeyRing | None = None,
        *,
        sandbox: bool = True,
        search_attributes: Mapping[str, str] = SEARCH_ATTRIBUTES,
        extra_arguments: Sequence[str] = (),
    ) -> None:
        self._plugin = teiki_plugin(keys, sandbox=sandbox)
        self._search_attributes = search_attributes
        self._extra_arguments = extra_arguments
        self._environment: WorkflowEnvironment | None = None

    async def __aenter__(self) -> WorkflowEnvironment:
        with tempfile.TemporaryDirectory(prefix="teiki-time-skipping-") as home:  # only needed to start
            launcher = _write_launcher(Path(home) / "server", program("temporal-test-server"))
            try:
                self._environment = await WorkflowEnvironment.start_time_skipping(
                    test_server_existing_path=str(launcher),
                    test_server_extra_args=self._extra_arguments,
                    plugins=[self._plugin],
                    runtime=process_runtime(),
                )
            except RuntimeError as error:
                raise TeikiError(
                    ErrorCode.ENGINE_UNAVAILABLE, "The time-skipping Temporal server did not start."
                ) from error
        await ensure_search_attributes(self._environment.client, self._search_attributes)
        return self._environment

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._environment is not None:
            await self._environment.shutdown()


def _write_launcher(path: Path, server: Path) -> Path:
    """A script that runs the server tied to our life: the SDK starts this one, and takes only a path."""
    leash = [
        sys.executable,
        "-I",
        "-S",
        str(LEASH),
        str(int(signal.SIGTERM)),
        str(os.getpid()),
        "-",
        str(server),
    ]
    path.write_text(f'#!/bin/sh\nexec {shlex.join(leash)} "$@"\n', encoding="utf-8")
    path.chmod(0o700)
    return path
