"""Who takes a file, when and from where: written down before the first byte goes out (spec: exports.md)."""

from __future__ import annotations

from datetime import datetime
from typing import Final, LiteralString

from db.engine import Database

_LOG: Final[LiteralString] = """
INSERT INTO export_downloads (export_id, at, actor, source) VALUES (%(id)s, %(at)s, %(actor)s, %(source)s)
RETURNING 1 AS logged
"""


async def log_download(db: Database, export_id: str, *, at: datetime, actor: str, source: str) -> None:
    await db.fetch_one(_LOG, {"id": export_id, "at": at, "actor": actor, "source": source})
