"""The embedded stack of `teiki up`: everything a Teiki needs, in one terminal.

Postgres → Temporal with its Web UI → migrations → sandbox gateway → codec server → workers → web, each a
supervised child. Data stays in the state directory and survives Ctrl-C, restarts and crashes. Ports are the
usual ones when free, the last run's or any free ones otherwise; `stack.json` tells them to `teiki …` in
other terminals.

`runtime` imports neither `db` nor `gateways` nor the worker: they are command lines in a table,
`teiki_services`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from rich.console import Console
from rich.table import Table

from domain.errors import ErrorCode
from runtime.embedded.ports import LOOPBACK, free_ports, is_free
from runtime.embedded.postgres import EmbeddedPostgres
from runtime.embedded.state_dir import StateDir
from runtime.embedded.supervisor import Say, ServiceSpec, Supervisor, file_ready, http_ready
from runtime.embedded.temporal_servers import DYNAMIC_CONFIG, dev_server_command, temporal_answers
from runtime.settings import ENV_PREFIX, Settings
from runtime.temporal import DEFAULT_NAMESPACE

USUAL_PORTS: Final = {
    "temporal": 7233,
    "web_ui": 8233,
    "codec": 8234,
    "gateway": 8790,
    "web": 8791,
    "postgres": 54329,
}
DATABASE: Final = "teiki"


@dataclass(frozen=True)
class StackPlan:
    """Where everything of a stack is; what the services' command lines are made from."""

    state: StateDir
    ports: Mapping[str, int]
    database_url: str
    database_public_url: str

    def address(self, name: str) -> str:
        """`host:port`."""
        return f"{LOOPBACK}:{self.ports[name]}"

    def url(self, name: str) -> str:
        """`http://host:port`."""
        return f"http://{self.address(name)}"

    @property
    def origins(self) -> tuple[str, ...]:
        """The names people open the Web UI under; browsers compare them literally."""
        return self.url("web_ui"), f"http://localhost:{self.ports['web_ui']}"

    def settings(self) -> dict[str, Any]:
        """The settings other processes need to work with this stack."""
        return {
            "database_url": self.database_url,
            "gateway": "sandbox",
            "gateway_url": self.url("gateway"),
            "public_url": self.url("web"),
            "codec_keys": self.state.codec_keys(),
            "export_secret_keys": self.state.export_keys(),
            "endpoint_secret_keys": self.state.endpoint_keys(),
            "endpoint_allow_private": True,  # this stack is a trial on one machine
            "codec_server_url": self.url("codec"),
            "webhook_secrets": self.state.webhook_secrets(),
            "state_dir": str(self.state.path),
            "temporal_address": self.address("temporal"),
            "temporal_namespace": DEFAULT_NAMESPACE,
        }

    def environment(self, **extra: str) -> dict[str, str]:
        """The environment of a child: ours, with this stack's addresses instead of any other.

        Temporal's variables are removed, so that a profile for another cluster cannot reach our worker.
        """
        ours = {f"{ENV_PREFIX}{name.upper()}": str(value) for name, value in self.settings().items()}
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("TEMPORAL_") and name.removesuffix("_FILE") not in ours
        }
        return {
            **inherited,
            **ours,
            "TEMPORAL_CONFIG_FILE": str(self.state.temporal_toml),
            "PYTHONUNBUFFERED": "1",
            **extra,
        }


Services = Callable[[StackPlan], list[ServiceSpec]]


def temporal_service(plan: StackPlan, *, dynamic_config: Mapping[str, str] = DYNAMIC_CONFIG) -> ServiceSpec:
    """The real Temporal server on its file."""
    return ServiceSpec(
        name="temporal",
        command=dev_server_command(
            port=plan.ports["temporal"],
            ui_port=plan.ports["web_ui"],
            database=plan.state.path / "temporal.db",
            codec_endpoint=plan.url("codec"),
            dynamic_config=dynamic_config,
        ),
        ready=lambda: temporal_answers(plan.address("temporal")),
        error_code=ErrorCode.ENGINE_UNAVAILABLE,
    )


def teiki_services(plan: StackPlan) -> list[ServiceSpec]:
    """Teiki's own processes, in the order they are started."""
    python = sys.executable
    origins = [part for origin in plan.origins for part in ("--origin", origin)]
    return [
        ServiceSpec(
            name="migrations",
            command=[python, "-m", "db", "upgrade"],
            env=plan.environment(),
            one_shot=True,
            start_seconds=120,
            error_code=ErrorCode.DATABASE_UNAVAILABLE,
        ),
        ServiceSpec(
            name="gateway",
            command=[
                *(python, "-m", "gateways.sandbox", "--host", LOOPBACK, "--port", str(plan.ports["gateway"])),
                *("--database", str(plan.state.path / "sandbox.db")),
                *("--webhook-url", plan.url("web") + "/webhooks/sandbox"),
                *("--webhook-secrets-file", str(plan.state.webhook_secrets_file)),
            ],
            env=plan.environment(),
            ready=http_ready(plan.url("gateway") + "/health"),
            error_code=ErrorCode.GATEWAY_UNAVAILABLE,
        ),
        ServiceSpec(
            name="codec server",
            command=[python, "-m", "runtime.codec_server", "--port", str(plan.ports["codec"]), *origins],
            env=plan.environment(),
            ready=http_ready(plan.url("codec") + "/health"),
        ),
        _worker(plan, "worker", role="billing"),
        _worker(plan, "exports worker", role="exports"),
        ServiceSpec(
            name="web",
            command=[python, "-m", "web", "--host", LOOPBACK, "--port", str(plan.ports["web"])],
            env=plan.environment(),
            ready=http_ready(plan.url("web") + "/health"),
        ),
    ]


def _worker(plan: StackPlan, name: str, *, role: str) -> ServiceSpec:
    """A worker of one role: a workbook that keeps a core busy holds up no charge."""
    ready_file = plan.state.ready_file(name.replace(" ", "-"))
    forget, serves = file_ready(ready_file)
    return ServiceSpec(
        name=name,
        command=[sys.executable, "-m", "worker"],
        env=plan.environment(TEIKI_READY_FILE=str(ready_file), TEIKI_WORKER_ROLE=role),
        before_start=forget,
        ready=serves,
        stop_seconds=40,  # longer than a worker's own graceful stop
    )


class EmbeddedStack:
    """A whole Teiki while the context lasts.

    Args:
        state_dir: where it keeps its data.
        say: one line for people about what happens.
        services: Teiki's processes; tests give their own.
        durable: False for stacks whose data is thrown away.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        say: Say = lambda _: None,
        services: Services = teiki_services,
        durable: bool = True,
    ) -> None:
        self._state = StateDir(state_dir)
        self._say = say
        self._services = services
        self._durable = durable
        self._postgres: EmbeddedPostgres | None = None
        self._supervisor = Supervisor(logs=self._state.logs, say=say, changed=self._state.record)
        self._plan: StackPlan | None = None

    @property
    def plan(self) -> StackPlan:
        """Where everything is."""
        assert self._plan is not None, "the stack was not started"
        return self._plan

    def settings(self, **given: Any) -> Settings:
        """Settings for a client in this process."""
        return Settings.load(**{**self.plan.settings(), **given})

    async def __aenter__(self) -> Self:
        self._state.acquire()
        try:
            await self._state.clean_up_after_crash(self._say)
            await self._start()
        except (
            BaseException
        ):  # also a Ctrl-C while starting: whatever runs is stopped, then it goes on its way
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _start(self) -> None:
        ports = choose_ports(self._state.last_ports())
        self._state.write_json("ports.json", ports)
        log = self._state.logs / "postgres.log"
        self._postgres = EmbeddedPostgres(
            self._state.path / "postgres",
            port=ports["postgres"],
            password=self._state.postgres_password(),
            durable=self._durable,
            log=log,
        )
        self._plan = plan = StackPlan(
            self._state,
            ports,
            database_url=self._postgres.url(DATABASE),
            database_public_url=self._postgres.public_url(DATABASE),
        )
        self._state.temporal_toml.write_text(
            f'[profile.default]\naddress = "{plan.address("temporal")}"\nnamespace = "{DEFAULT_NAMESPACE}"\n',
            encoding="utf-8",
        )
        # The two servers know nothing of each other: start them side by side.
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._start_postgres(self._postgres))
                group.create_task(self._supervisor.start(temporal_service(plan)))
        except BaseExceptionGroup as failed:
            # One of the two stopped the other: people need the reason, not the group.
            raise failed.exceptions[0] from None
        for service in self._services(plan):
            await self._supervisor.start(service)
        self._state.write_json(
            "stack.json",
            {"pid": os.getpid(), "web_ui": plan.url("web_ui"), "settings": plan.settings()},
        )

    async def _start_postgres(self, postgres: EmbeddedPostgres) -> None:
        await postgres.start()
        self._supervisor.adopt("postgres", postgres.process.pid)
        await postgres.ensure_database(DATABASE)

    async def _stop(self) -> None:
        self._state.stack_file.unlink(missing_ok=True)
        await self._supervisor.stop()
        if self._postgres is not None:
            await self._postgres.stop()
        self._state.release()


def choose_ports(last: Mapping[str, int]) -> dict[str, int]:
    """A free port for each server: the usual one, the last run's, or any."""
    spare = iter(free_ports(len(USUAL_PORTS)))
    chosen: dict[str, int] = {}
    for name, usual in USUAL_PORTS.items():
        candidates = (usual, last.get(name, usual))
        chosen[name] = next((port for port in candidates if is_free(port)), next(spare))
    return chosen


async def run_stack(settings: Settings, stop: asyncio.Event, *, console: Console | None = None) -> None:
    """`teiki up`: starts the stack, prints where everything is, and keeps it running until `stop` is set.

    Raises:
        TeikiError: what did not start and the last lines of its log; everything started before is stopped
        again.
    """
    out = console or Console(stderr=True)
    started = time.monotonic()
    out.print(f"Starting Teiki in [bold]{settings.state_dir}[/bold] …")
    async with EmbeddedStack(settings.state_dir, say=lambda line: out.print(f"[dim]•[/dim] {line}")) as stack:
        out.print(summary(stack.plan))
        out.print(
            f"Ready after {time.monotonic() - started:.1f} s. Ctrl-C stops everything; the data stays.\n"
        )
        out.print("In another terminal, try:  [bold]teiki subscription create --help[/bold]")
        await stop.wait()
        out.print("Stopping …")
    out.print("Stopped.")


def summary(plan: StackPlan) -> Table:
    """Where everything is, without secrets."""
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for what, where in (
        ("Temporal Web UI", plan.url("web_ui")),
        ("Temporal", f"{plan.address('temporal')} (namespace {DEFAULT_NAMESPACE})"),
        ("Postgres", plan.database_public_url),
        ("Sandbox gateway", plan.url("gateway")),
        ("Customers' pages", plan.url("web")),
        ("Codec server", plan.url("codec")),
        ("Logs", str(plan.state.logs)),
        ("Exports", str(plan.state.path / "exports")),
        ("Data and keys", str(plan.state.path)),
    ):
        table.add_row(what, where)
    return table
