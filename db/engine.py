"""The way to Postgres: bare psycopg for writes, SQLAlchemy Core for reads.

`fetch_one` runs one statement as one transaction in one round trip, which is what the charge path needs;
`transaction` wraps several; `reading` is Core over one consistent snapshot. Sessions run in UTC, so every instant
that comes out is aware.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, LiteralString

import psycopg
from psycopg.rows import dict_row
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from db.pool import Driver, DriverPool
from domain.errors import ErrorCode, TeikiError

Parameters = Mapping[str, Any] | Sequence[Any]

STATEMENT_TIMEOUT_MS: Final = 30_000
LOCK_TIMEOUT_MS: Final = 10_000
POOL_TIMEOUT_S: Final = 30
_SESSION: Final = (
    f"-c timezone=UTC -c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS}"
    " -c idle_in_transaction_session_timeout=60000"
    # Our statements take milliseconds; compiling one because its cost was guessed high takes more.
    " -c jit=off"
)


class Database:
    """One Postgres database. Belongs to one event loop.

    Attributes:
        engine: SQLAlchemy's engine, for reads.
    """

    def __init__(self, engine: AsyncEngine, writers: DriverPool) -> None:
        self.engine = engine
        self._writers = writers

    @classmethod
    def connect(cls, url: str, *, pool_size: int = 10) -> Database:
        """Pools for `postgresql+psycopg://…`; connections are opened when first needed.

        Args:
            url: the address, with its password if it has one.
            pool_size: the most connections held for writes, and as many again for reads; one per activity that
                runs at once is enough.
        """
        engine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_S,
            isolation_level="REPEATABLE READ",
            connect_args={"options": _SESSION},
            hide_parameters=True,
        )
        _, arguments = engine.dialect.create_connect_args(engine.url)
        writers = DriverPool({**arguments, "options": _SESSION}, size=pool_size, wait_s=POOL_TIMEOUT_S)
        return cls(engine, writers)

    async def close(self) -> None:
        await self._writers.close()
        await self.engine.dispose()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Driver]:
        """A psycopg connection in autocommit.

        Raises:
            TeikiError: `database_unavailable` when the connection cannot be had or breaks; safe to try again.
        """
        async with _translated(), self._writers.lend() as driver:
            yield driver

    async def fetch_one(self, sql: LiteralString, parameters: Parameters) -> dict[str, Any] | None:
        """Run one statement as its own transaction, prepared, and return its first row."""
        async with self.connection() as driver:
            cursor = driver.cursor(row_factory=dict_row)
            await cursor.execute(sql, parameters, prepare=True)
            return await cursor.fetchone()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[psycopg.AsyncCursor[dict[str, Any]]]:
        """Several statements, all or nothing (read committed); rows come as dictionaries."""
        async with self.connection() as driver, driver.transaction():
            yield driver.cursor(row_factory=dict_row)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """SQLAlchemy Core over one snapshot, read only: the answers of several selects agree with each other."""
        async with _translated(), self.engine.connect() as connection:
            await connection.execution_options(postgresql_readonly=True)
            yield connection


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    """Losing the database is a fact with a code, whichever library notices it first."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeoutError, TimeoutError) as error:
        raise _unavailable() from error
    except DBAPIError as error:
        if isinstance(error.orig, (psycopg.OperationalError, psycopg.InterfaceError)):
            raise _unavailable() from error
        raise


def _unavailable() -> TeikiError:
    return TeikiError(ErrorCode.DATABASE_UNAVAILABLE, "The database cannot be reached just now; try again.")
