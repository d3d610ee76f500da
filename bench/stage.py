"""The servers an arm runs on: the real Temporal server, Postgres that commits to disk, the gateway in memory.

Also who used how much of the processor: a worker's own CPU time means little where the server does two thirds.
"""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
from temporalio.client import Client

from db import migrate
from gateways.sandbox.launch import start_sandbox
from runtime.embedded.postgres import EmbeddedPostgres
from runtime.embedded.temporal_servers import DYNAMIC_CONFIG, DevServer
from runtime.settings import Settings
from runtime.temporal import connect

_AT_ONCE_AGAIN: Final = {"history.workflowIdReuseMinimalInterval": '"0s"'}
ROOT: Final = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class CpuSeconds:
    """User and system time per part, in seconds."""

    worker: float = 0.0
    server: float = 0.0
    postgres: float = 0.0
    gateway: float = 0.0

    def since(self, earlier: CpuSeconds) -> CpuSeconds:
        return CpuSeconds(
            self.worker - earlier.worker,
            self.server - earlier.server,
            self.postgres - earlier.postgres,
            self.gateway - earlier.gateway,
        )


@dataclass(frozen=True)
class Stage:
    """Where things are while it lasts."""

    temporal: DevServer
    client: Client
    settings: Settings
    variables: Mapping[str, str]
    home: Path
    _server: psutil.Process
    _postgres: psutil.Process
    _gateway: psutil.Process

    def cpu(self, worker: psutil.Process) -> CpuSeconds:
        return CpuSeconds(
            worker=_seconds(worker),
            server=_seconds(self._server),
            postgres=_seconds(self._postgres) + sum(map(_seconds, self._postgres.children())),
            gateway=_seconds(self._gateway),
        )


@asynccontextmanager
async def stage(dynamic_config: Mapping[str, str] = DYNAMIC_CONFIG) -> AsyncIterator[Stage]:
    """Start everything side by side, Temporal with these settings; stop it in reverse order."""
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="teiki-bench-")))
        postgres = EmbeddedPostgres(durable=True)
        temporal = DevServer(dynamic_config={**dynamic_config, **_AT_ONCE_AGAIN})
        _, _, sandbox = await asyncio.gather(
            stack.enter_async_context(postgres),
            stack.enter_async_context(temporal),
            start_sandbox(":memory:"),
        )
        stack.push_async_callback(sandbox.stop)
        database_url = await postgres.ensure_database("teiki")
        await asyncio.to_thread(migrate.upgrade, database_url)
        keys = f"k1:{base64.b64encode(secrets.token_bytes(32)).decode()}"
        variables = {
            "TEIKI_DATABASE_URL": database_url,
            "TEIKI_CODEC_KEYS": keys,
            "TEIKI_GATEWAY_URL": sandbox.base_url,
            "TEIKI_PUBLIC_URL": sandbox.base_url,
            "TEIKI_STATE_DIR": str(home),
            "TEIKI_TEMPORAL_ADDRESS": temporal.address,
            "TEIKI_LOG_LEVEL": "WARNING",
        }
        settings = Settings.load(
            **{name.removeprefix("TEIKI_").lower(): value for name, value in variables.items()}
        )
        yield Stage(
            temporal=temporal,
            client=await connect(settings),
            settings=settings,
            variables=variables,
            home=home,
            _server=psutil.Process(temporal.process.pid),
            _postgres=psutil.Process(postgres.process.pid),
            _gateway=psutil.Process(sandbox.process.pid),
        )


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Ours without anybody's Temporal or Teiki settings, and with the bench's."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("TEMPORAL_", "TEIKI_"))
    }
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH", "")) if part)
    return {**inherited, **variables, "PYTHONPATH": path}


def python_module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", name, *arguments]


def _seconds(process: psutil.Process) -> float:
    """Own time and that of ended children (a connection of Postgres is a child)."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0  # a connection that just ended; its parent has its time now
    return float(times.user + times.system + times.children_user + times.children_system)
