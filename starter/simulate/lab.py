"""The laboratory: a real Postgres, the sandbox gateway, a worker, and Temporal's time-skipping server.

Everything is started for the simulation and gone afterwards. The worker is the same process that production runs; only
the server underneath skips the time in which nothing happens. Its clock is one for all, so scenarios are played one
after another.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from db import migrate
from domain.errors import ErrorCode, TeikiError
from runtime.codec import new_key
from runtime.embedded.ports import free_ports
from runtime.embedded.postgres import EmbeddedPostgres
from runtime.embedded.processes import end, spawn, tail
from runtime.embedded.supervisor import file_ready, http_ready
from runtime.embedded.temporal_servers import TimeSkippingServer
from runtime.settings import Settings
from runtime.temporal import connect

_READY_SECONDS = 60.0


@dataclass
class Lab:
    """Where things are while it lasts."""

    environment: WorkflowEnvironment
    client: Client
    settings: Settings
    http: aiohttp.ClientSession


@asynccontextmanager
async def laboratory() -> AsyncIterator[Lab]:
    """Start everything, side by side; stop it in reverse order."""
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="teiki-simulate-")))
        keys, export_keys, endpoint_keys = (new_key("sim") for _ in range(3))
        gateway_port = free_ports(1)[0]
        settings = Settings.load(
            codec_keys=keys,
            export_secret_keys=export_keys,
            endpoint_secret_keys=endpoint_keys,
            gateway_url=f"http://127.0.0.1:{gateway_port}",
            public_url=f"http://127.0.0.1:{gateway_port}",
            state_dir=home,
            temporal_address="",
        )
        postgres = EmbeddedPostgres(durable=False)
        server = TimeSkippingServer(settings.keyring(), sandbox=False)
        _, environment, _ = await asyncio.gather(
            stack.enter_async_context(postgres),
            stack.enter_async_context(server),
            stack.enter_async_context(_process("gateway", home, _gateway(gateway_port), {})),
        )
        database_url = await postgres.ensure_database("teiki")
        address = environment.client.service_client.config.target_host
        variables = {
            "TEIKI_DATABASE_URL": database_url,
            "TEIKI_CODEC_KEYS": keys,
            "TEIKI_EXPORT_SECRET_KEYS": export_keys,
            "TEIKI_ENDPOINT_SECRET_KEYS": endpoint_keys,
            "TEIKI_GATEWAY_URL": settings.gateway_url,
            "TEIKI_STATE_DIR": str(home),
            "TEIKI_READY_FILE": str(home / "worker.ready"),
            # A circuit's pauses are real time, of which a simulated month has none.
            "TEIKI_GATEWAY_CIRCUIT_FAILURES": "0",
            "TEMPORAL_ADDRESS": address,
        }
        # The worker needs a second to import what it runs, and no table before the first request: migrate meanwhile.
        await stack.enter_async_context(_process("worker", home, [sys.executable, "-m", "worker"], variables))
        await _migrated(database_url)
        await _until_ready(home, settings.gateway_url)
        http = await stack.enter_async_context(aiohttp.ClientSession(settings.gateway_url))
        with_database = Settings.load(
            **{
                **settings.model_dump(exclude_unset=True),
                "database_url": database_url,
                "temporal_address": address,
            }
        )
        # The environment's own client lets time run while it waits for a result; ours must not.
        client = await connect(with_database)
        yield Lab(environment=environment, client=client, settings=with_database, http=http)


def _gateway(port: int) -> list[str]:
    return [sys.executable, "-m", "gateways.sandbox", "--port", str(port), "--database", ":memory:"]


@asynccontextmanager
async def _process(
    name: str, home: Path, command: list[str], variables: Mapping[str, str]
) -> AsyncIterator[None]:
    process = await spawn(command, log=home / f"{name}.log", env=_environment(variables))
    try:
        yield
    finally:
        await end(process)


async def _migrated(url: str) -> None:
    try:
        await asyncio.to_thread(migrate.upgrade, url)
    except SQLAlchemyError as error:
        raise TeikiError(
            ErrorCode.DATABASE_UNAVAILABLE, f"The migrations failed: {type(error).__name__}."
        ) from error


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("TEMPORAL_", "TEIKI_"))
    }
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
    return {**inherited, **variables, "PYTHONPATH": path}


async def _until_ready(home: Path, gateway_url: str) -> None:
    _, worker_ready = file_ready(home / "worker.ready")
    gateway_ready = http_ready(f"{gateway_url}/health")
    deadline = asyncio.get_running_loop().time() + _READY_SECONDS
    while not (await worker_ready() and await gateway_ready()):
        if asyncio.get_running_loop().time() > deadline:
            raise TeikiError(
                ErrorCode.ENGINE_UNAVAILABLE,
                "The simulation's worker or gateway did not start: " + tail(home / "worker.log"),
            )
        await asyncio.sleep(0.05)
