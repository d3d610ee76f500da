"""Passwords of exports, sealed, for as long as their export is not written (docs/security.md).

The database never sees one in plain: what is stored can be opened only with a key that it does not have. A row lives
until its export is ready or has failed, an hour at most.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, LiteralString

from db.engine import Database
from db.requests import Cursor

_KEEP: Final[LiteralString] = """
INSERT INTO sealed_secrets (export_id, sealed, created_at, expires_at)
VALUES (%(export_id)s, %(sealed)s, %(at)s, %(expires_at)s)
RETURNING 1 AS kept
"""
_FIND: Final[LiteralString] = """
SELECT sealed FROM sealed_secrets WHERE export_id = %(export_id)s AND expires_at > clock_timestamp()
"""
_DROP: Final[LiteralString] = "DELETE FROM sealed_secrets WHERE export_id = %(export_id)s RETURNING 1 AS gone"
_SWEEP: Final[LiteralString] = "DELETE FROM sealed_secrets WHERE expires_at <= %(at)s"


async def keep_secret(
    db: Database, export_id: str, sealed: bytes, *, at: datetime, expires_at: datetime
) -> None:
    """Store it, before the export's workflow is started."""
    values = {"export_id": export_id, "sealed": sealed, "at": at, "expires_at": expires_at}
    await db.fetch_one(_KEEP, values)


async def find_secret(db: Database, export_id: str) -> bytes | None:
    """The sealed password, unless it is gone or past its life."""
    row = await db.fetch_one(_FIND, {"export_id": export_id})
    return None if row is None else bytes(row["sealed"])


async def drop_secret(db: Database, export_id: str) -> None:
    """Delete it, whether it is there or not."""
    await db.fetch_one(_DROP, {"export_id": export_id})


async def drop_with(cursor: Cursor, export_id: str) -> None:
    """Delete it in the transaction that has no use for it any more."""
    await cursor.execute(_DROP, {"export_id": export_id})


async def sweep_secrets(db: Database, *, at: datetime) -> int:
    """Delete what is past its life; answers how many."""
    async with db.transaction() as cursor:
        await cursor.execute(_SWEEP, {"at": at})
        return cursor.rowcount
