"""The way to Postgres: one pool, three ways to use it.

`connection` lends a bare psycopg connection in autocommit: one statement is one transaction and one round trip,
which is what the charge path needs. `transaction` wraps several statements, `reading` is SQLAlchemy Core over one
consistent snapshot. Sessions run in UTC, so every instant that comes out is aware.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, LiteralString

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from domain.errors import ErrorCode, TeikiError

Parameters = Mapping[str, Any] | Sequence[Any]
Driver = psycopg.AsyncConnection[Any]

STATEMENT_TIMEOUT_MS: Final = 30_000
LOCK_TIMEOUT_MS: Final = 10_000
POOL_TIMEOUT_S: Final = 30
_SESSION: Final = (
    f"-c timezone=UTC -c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS}"
    " -c idle_in_transaction_session_timeout=60000"
)


class Database:
    """A pool of connections to one Postgres database.

    Attributes:
        engine: SQLAlchemy's engine, in autocommit; most callers want the methods instead.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    @classmethod
    def connect(cls, url: str, *, pool_size: int = 10) -> Database:
        """A pool for `postgresql+psycopg://…`; connections are opened when first needed.

        Args:
            url: the address, with its password if it has one.
            pool_size: the most connections held; one per activity that runs at once is enough.
        """
        return cls(
            create_async_engine(
                url,
                pool_size=pool_size,
                max_overflow=0,
                pool_timeout=POOL_TIMEOUT_S,
                isolation_level="AUTOCOMMIT",
                connect_args={"options": _SESSION},
                hide_parameters=True,
            )
        )

    async def close(self) -> None:
        await self.engine.dispose()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Driver]:
        """A psycopg connection in autocommit.

        Raises:
            TeikiError: `database_unavailable` when the connection cannot be had or breaks; safe to try again.
        """
        async with _translated(), self.engine.connect() as pooled:
            driver: Driver = (await pooled.get_raw_connection()).driver_connection  # type: ignore[assignment]
            try:
                yield driver
            finally:
                if driver.closed:
                    # A restart of Postgres breaks every pooled connection at once. SQLAlchemy retires all of them
                    # when it meets the breakage itself, so let it: this statement can only fail.
                    with contextlib.suppress(DBAPIError):
                        await pooled.exec_driver_sql("SELECT 1")
                elif driver.info.transaction_status is not TransactionStatus.IDLE:
                    await pooled.invalidate()

    async def fetch_one(self, sql: LiteralString, parameters: Parameters) -> dict[str, Any] | None:
        """Run one statement as its own transaction, prepared, and return its first row."""
        async with self.connection() as driver, driver.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(sql, parameters, prepare=True)
            return await cursor.fetchone()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[psycopg.AsyncCursor[dict[str, Any]]]:
        """Several statements, all or nothing (read committed); rows come as dictionaries."""
        async with (
            self.connection() as driver,
            driver.transaction(),
            driver.cursor(row_factory=dict_row) as cursor,
        ):
            yield cursor

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """SQLAlchemy Core over one snapshot: the answers of several selects agree with each other."""
        async with _translated(), self.engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    """Losing the database is a fact with a code, whichever library notices it first."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeoutError) as error:
        raise _unavailable() from error
    except DBAPIError as error:
        if isinstance(error.orig, (psycopg.OperationalError, psycopg.InterfaceError)):
            raise _unavailable() from error
        raise


def _unavailable() -> TeikiError:
    return TeikiError(ErrorCode.DATABASE_UNAVAILABLE, "The database cannot be reached just now; try again.")
