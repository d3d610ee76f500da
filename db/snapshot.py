"""One consistent snapshot of the books, for reading more rows than memory holds.

A connection of its own, one REPEATABLE READ read-only transaction: rows are counted first and then streamed through a
server-side cursor, all of one instant. Blocking, for a thread; `stop` may be called from another one.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb
from sqlalchemy import Dialect, Select, func, make_url, select

from db.pool import CONNECT_TIMEOUT_S

BATCH_ROWS: Final = 2_000
_IDLE_MAX_MS: Final = 120_000
"""A reader that takes nothing for so long is gone; the server lets go of its snapshot."""

_CANCEL_AGAIN_S: Final = 0.1

Query = Select[Any]
_DRIVER: Final = "postgresql+psycopg"


class Snapshot:
    """What `snapshot` opens."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._connection = connection
        row = connection.execute("SELECT transaction_timestamp()").fetchone()
        assert row is not None
        self.taken_at: datetime = row[0]

    def count(self, query: Query) -> int:
        """How many rows the query has in this snapshot."""
        text, values = _written(select(func.count()).select_from(query.order_by(None).subquery()))
        row = self._connection.execute(text, values).fetchone()
        assert row is not None
        return int(row[0])

    def batches(
        self, query: Query, *, size: int = BATCH_ROWS
    ) -> Generator[list[tuple[Any, ...]], None, None]:
        """The rows in the query's order, `size` at a time, as plain tuples.

        The next batch is fetched while the caller works on this one: two processes take turns otherwise, each of which
        waits for a core of its own.
        """
        text, values = _written(query)
        # Binary: a third less of the client's time than text, measured on 300,000 rows with instants and numbers.
        with psycopg.ServerCursor(self._connection, "export") as cursor, ThreadPoolExecutor(1) as ahead:
            cursor.execute(text, values, binary=True)
            coming = ahead.submit(cursor.fetchmany, size)
            try:
                while batch := coming.result():
                    coming = ahead.submit(cursor.fetchmany, size)
                    yield batch
            finally:
                while not coming.done():  # nobody wants it any more; canceled before it begins it would go on
                    self.stop()
                    wait([coming], _CANCEL_AGAIN_S)

    def stop(self) -> None:
        """Cancel what is being asked at the moment; safe from any thread."""
        self._connection.cancel()


@contextmanager
def snapshot(url: str, *, patience: timedelta) -> Iterator[Snapshot]:
    """Open one; at its end the connection is closed, whatever was asked of it.

    Args:
        url: `postgresql+psycopg://…`.
        patience: the most that one statement may take.
    """
    _, arguments = _dialect().create_connect_args(make_url(url))
    options = (
        f"-c timezone=UTC -c statement_timeout={int(patience.total_seconds() * 1000)}"
        f" -c idle_in_transaction_session_timeout={_IDLE_MAX_MS}"
    )
    connection = psycopg.connect(**{**arguments, "options": options}, connect_timeout=CONNECT_TIMEOUT_S)
    try:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        yield Snapshot(connection)
    finally:
        connection.close()


def _written(query: Query) -> tuple[Any, dict[str, Any]]:
    """The statement as psycopg takes it, with its values."""
    compiled = query.compile(dialect=_dialect(), compile_kwargs={"render_postcompile": True})
    values = {
        name: Jsonb(value) if isinstance(value, dict) else value for name, value in compiled.params.items()
    }
    return str(compiled), values


@cache
def _dialect() -> Dialect:
    return make_url(f"{_DRIVER}://").get_dialect()()
