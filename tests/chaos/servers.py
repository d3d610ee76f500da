"""The servers of a run, made to be killed: Temporal on a file, Postgres that commits to disk, the sandbox gateway."""

from __future__ import annotations

import asyncio
import base64
import secrets
import signal
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from db import migrate
from gateways.sandbox.launch import RunningSandbox, start_sandbox
from gateways.sandbox.remote import SandboxRemote
from runtime.embedded.ports import LOOPBACK, free_ports
from runtime.embedded.postgres import EmbeddedPostgres
from runtime.embedded.processes import end, spawn, tail
from runtime.embedded.temporal_servers import dev_server_command, temporal_answers
from runtime.settings import Settings
from tests.chaos.gateway_faults import idempotency_of
from tests.chaos.plan import Plan
from tests.chaos.proxy import Proxy

_START_SECONDS: Final = 40.0


class TemporalOnFile:
    """The real Temporal server on one port and one file, whatever is done to its process."""

    def __init__(self, home: Path) -> None:
        self.port, self._http_port, self._metrics_port = free_ports(3)
        self.address = f"{LOOPBACK}:{self.port}"
        self._file = home / "temporal.db"
        self._log = home / "temporal.log"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        command = dev_server_command(
            port=self.port,
            ui_port=None,
            database=self._file,
            http_port=self._http_port,
            metrics_port=self._metrics_port,
        )
        self._process = await spawn(command, log=self._log, death_signal=signal.SIGKILL)
        async with asyncio.timeout(_START_SECONDS):
            while not await temporal_answers(self.address):
                if self._process.returncode is not None:
                    raise RuntimeError(f"Temporal did not start:\n{tail(self._log)}")
                await asyncio.sleep(0.1)

    async def kill(self) -> None:
        """SIGKILL: what its file has not got is lost."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        if self._process is not None:
            await end(self._process, with_signal=signal.SIGKILL)


@dataclass
class Servers:
    """Where things are while the run lasts, and the proxies that lead there."""

    home: Path
    temporal: TemporalOnFile
    postgres: EmbeddedPostgres
    sandbox: RunningSandbox
    remote: SandboxRemote
    database_url: str
    codec_keys: str
    touched: Counter[str] = field(default_factory=Counter)
    proxies: list[Proxy] = field(default_factory=list)

    async def restart_temporal(self, pause_s: float) -> None:
        await self.temporal.kill()
        await asyncio.sleep(pause_s)
        await self.temporal.start()

    async def restart_postgres(self, pause_s: float) -> None:
        """Immediate shutdown: no checkpoint, open transactions are torn; then recovery from the log."""
        self.postgres.process.send_signal(signal.SIGQUIT)
        await self.postgres.process.wait()
        await asyncio.sleep(pause_s)
        await self.postgres.start()

    async def proxied(self) -> Settings:
        """Settings of a process that reaches each server through a proxy of its own."""
        ports = []
        for target in (self.temporal.port, self.postgres.port, self.sandbox.port):
            proxy = Proxy(target, self.touched)
            await proxy.start()
            self.proxies.append(proxy)
            ports.append(proxy.port)
        return self._settings(*ports)

    def direct(self) -> Settings:
        """Settings of the harness itself, whom no fault strikes."""
        return self._settings(self.temporal.port, self.postgres.port, self.sandbox.port)

    def _settings(self, temporal: int, postgres: int, sandbox: int) -> Settings:
        url = urlsplit(self.database_url)
        assert url.hostname is not None
        host = url.netloc.replace(f":{self.postgres.port}", f":{postgres}")
        gateway = f"http://{LOOPBACK}:{sandbox}"
        return Settings.load(
            database_url=url._replace(netloc=host).geturl(),
            codec_keys=self.codec_keys,
            gateway_url=gateway,
            public_url=gateway,
            state_dir=self.home,
            temporal_address=f"{LOOPBACK}:{temporal}",
            log_level="WARNING",
            graceful_shutdown_seconds=5.0,
        )


@asynccontextmanager
async def servers(plan: Plan) -> AsyncIterator[Servers]:
    """Start everything side by side; stop it in reverse order."""
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="teiki-chaos-")))
        # Its port stays the same over restarts, as everybody's address book expects.
        postgres = EmbeddedPostgres(durable=True, port=free_ports(1)[0])
        temporal = TemporalOnFile(home)
        stack.push_async_callback(temporal.stop)
        _, _, sandbox = await asyncio.gather(
            stack.enter_async_context(postgres),
            temporal.start(),
            start_sandbox(str(home / "sandbox.db"), idempotency=idempotency_of(plan), seed=plan.seed),
        )
        stack.push_async_callback(sandbox.stop)
        database_url = await postgres.ensure_database("teiki")
        await asyncio.to_thread(migrate.upgrade, database_url)
        remote = await stack.enter_async_context(SandboxRemote(sandbox.base_url))
        all_of_it = Servers(
            home=home,
            temporal=temporal,
            postgres=postgres,
            sandbox=sandbox,
            remote=remote,
            database_url=database_url,
            codec_keys=f"k1:{base64.b64encode(secrets.token_bytes(32)).decode()}",
        )
        try:
            yield all_of_it
        finally:
            await asyncio.gather(*(proxy.stop() for proxy in all_of_it.proxies))
