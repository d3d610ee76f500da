"""A small pool of bare psycopg connections in autocommit, for writes.

Lending one costs a few microseconds of the client's time; SQLAlchemy's own lending costs more than the statement that
follows (measured: 0.15 ms of 0.33 ms), which is why the charge path does not go through it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg
from psycopg.pq import TransactionStatus

Driver = psycopg.AsyncConnection[Any]

CONNECT_TIMEOUT_S: Final = 10


class DriverPool:
    """At most `size` connections, opened when first needed, the last used lent first.

    A connection that comes back broken or in the middle of something is closed. One that breaks takes the idle ones
    with it: a restart of Postgres breaks them all at once.
    """

    def __init__(self, arguments: Mapping[str, Any], *, size: int, wait_s: float) -> None:
        self._arguments = arguments
        self._wait_s = wait_s
        self._room = asyncio.Semaphore(size)
        self._idle: list[Driver] = []

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Driver]:
        """A connection in autocommit.

        Raises:
            TimeoutError: none came free in time.
            psycopg.OperationalError: none could be opened.
        """
        if self._room.locked():
            await asyncio.wait_for(self._room.acquire(), self._wait_s)
        else:
            await self._room.acquire()
        try:
            driver = self._idle.pop() if self._idle else await self._open()
            try:
                yield driver
            finally:
                await self._take_back(driver)
        finally:
            self._room.release()

    async def close(self) -> None:
        """Close the idle connections; lent ones are closed when they come back broken or at the process's end."""
        while self._idle:
            await self._idle.pop().close()

    async def _open(self) -> Driver:
        return await psycopg.AsyncConnection.connect(
            **self._arguments, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S
        )

    async def _take_back(self, driver: Driver) -> None:
        if driver.closed:
            await self.close()
        elif driver.info.transaction_status is TransactionStatus.IDLE:
            self._idle.append(driver)
        else:
            await driver.close()
