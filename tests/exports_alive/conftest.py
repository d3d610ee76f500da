"""Exports over everything real: Temporal's server, Postgres, and workers that are processes and may die."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from db import migrate
from db.engine import Database
from runtime.codec import new_key
from runtime.embedded.postgres import EmbeddedPostgres
from runtime.embedded.processes import end, spawn, tail
from runtime.embedded.supervisor import file_ready
from runtime.embedded.temporal_servers import DevServer
from runtime.settings import Settings
from starter import Teiki
from tests.activities.office import opened_workbook
from tests.architecture.reading import ROOT
from tests.db.house import House

READY_S = 30.0
World = tuple[DevServer, Path, str]
"""Temporal's server, its file, and the database's address."""


@dataclass
class Alive:
    """Where everything is, and one queue with its worker."""

    settings: Settings
    server: DevServer
    temporal_file: Path
    home: Path
    house: House

    @property
    def directory(self) -> Path:
        return Path(self.settings.export_place)

    @property
    def log(self) -> Path:
        return self.home / "worker.log"

    def files(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir()) if self.directory.is_dir() else []

    def beside(self, name: str) -> Alive:
        """A queue, a storage and workers of its own over the same servers, for what goes on at the same time."""
        home = self.home / name
        (home / "tmp").mkdir(parents=True)
        own = {"state_dir": home, "exports_task_queue": f"{self.settings.exports_task_queue}-{name}"}
        return replace(self, settings=self.settings.model_copy(update=own), home=home)

    async def client(self, **given: Any) -> Teiki:
        return await Teiki.connect(self.settings.model_copy(update=given))

    @asynccontextmanager
    async def worker(self, module: str, **variables: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """A worker process that serves, or was killed already; ended at the end unless it has ended before."""
        ready = self.home / f"{uuid.uuid4().hex}.ready"
        _, serves = file_ready(ready)
        process = await spawn(
            [sys.executable, "-m", module],
            log=self.log,
            env={**self.environment(), "TEIKI_READY_FILE": str(ready), **variables},
        )
        try:
            async with asyncio.timeout(READY_S):
                while process.returncode != -signal.SIGKILL and not await serves():
                    assert process.returncode is None, tail(self.log)
                    await asyncio.sleep(0.05)
            yield process
        finally:
            await end(process)

    def environment(self) -> dict[str, str]:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("TEIKI_", "TEMPORAL_"))
        }
        secrets = {
            name: value.get_secret_value()
            for name in ("database_url", "codec_keys", "export_secret_keys")
            if (value := getattr(self.settings, name)) is not None
        }
        ours = {
            **secrets,
            "state_dir": str(self.settings.state_dir),
            "exports_task_queue": self.settings.exports_task_queue,
            "worker_role": "exports",
            "sticky_seconds": "5",  # of who was killed
        }
        return {
            **inherited,
            **{f"TEIKI_{name.upper()}": value for name, value in ours.items()},
            "TEMPORAL_ADDRESS": self.server.address,
            "TMPDIR": str(self.home / "tmp"),
            "PYTHONPATH": str(ROOT),
        }

    def workbook(self, path: Path, password: str | None = None) -> list[dict[str, Any]]:
        return opened_workbook(path.read_bytes(), password)


@pytest.fixture(scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A Temporal server on a file that can be searched, and a migrated database; one for all, they take seconds."""
    file = tmp_path_factory.mktemp("temporal") / "temporal.db"
    async with EmbeddedPostgres(durable=False) as postgres, DevServer(database=file) as server:
        url = await postgres.ensure_database("teiki")
        await asyncio.to_thread(migrate.upgrade, url)
        yield server, file, url


@pytest.fixture(scope="session")
def codec_keys() -> str:
    """One for all: whoever looks through every history reads them all."""
    return new_key("k1")


@pytest.fixture
async def alive(world: World, codec_keys: str, tmp_path: Path, monkeypatch: Any) -> AsyncIterator[Alive]:
    """A queue nobody works on yet."""
    async with _alive(world, codec_keys, tmp_path, monkeypatch) as alive:
        yield alive


@pytest.fixture(scope="module")
async def served(
    world: World, codec_keys: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Alive]:
    """A queue with a worker that lives, for all tests of a module that do nothing to it."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        home = tmp_path_factory.mktemp("served")
        async with (
            _alive(world, codec_keys, home, monkeypatch) as alive,
            alive.worker("tests.exports_alive.fused_worker"),
        ):
            yield alive


@asynccontextmanager
async def _alive(world: World, codec_keys: str, home: Path, monkeypatch: Any) -> AsyncIterator[Alive]:
    server, file, url = world
    for name in list(os.environ):
        if name.startswith(("TEIKI_", "TEMPORAL_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TEMPORAL_ADDRESS", server.address)
    (home / "tmp").mkdir()
    settings = Settings.load(
        database_url=url,
        codec_keys=codec_keys,
        export_secret_keys=new_key("e1"),
        state_dir=home,
        exports_task_queue=f"exports-{uuid.uuid4().hex[:8]}",
    )
    database = Database.connect(url, pool_size=4)
    yield Alive(settings, server, file, home, House(database))
    await database.close()
