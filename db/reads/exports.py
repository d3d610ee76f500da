"""My Requests: the exports of one requester, or of all, newest first; and who downloaded one."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row, Select, select

from db.engine import Database
from db.reads.cursor import after, encode_cursor, page_size
from db.tables import export_downloads, exports
from domain.exports import ADVICE, ExportStatus

LIMIT_DEFAULT: Final = 50
_e, _d = exports.c, export_downloads.c


class ExportItem(BaseModel):
    """One request. Instants are aware and in UTC.

    Attributes:
        filter: the fields of the kind's filter that were given, as JSON values.
        encrypted: whether the file needs the password that was given with the request.
        rows: of the file; while it is created, those written so far.
        total: rows the file will have, while it is created and as soon as they are counted.
        advice: what to do, when there is no file.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    kind: str
    filter: dict[str, Any]
    requester: str
    comment: str
    language: str
    zone: str
    encrypted: bool
    again_of: str | None
    status: ExportStatus
    reason: str
    requested_at: datetime
    started_at: datetime | None
    ready_at: datetime | None
    expires_at: datetime | None
    ended_at: datetime | None
    rows: int | None
    size_bytes: int | None
    total: int | None = None
    advice: str | None = None

    def seconds_left(self, now: datetime) -> int:
        """How long the file can still be downloaded; 0 when there is none."""
        if self.status is not ExportStatus.READY or self.expires_at is None:
            return 0
        return max(0, int((self.expires_at - now).total_seconds()))


class ExportPage(BaseModel):
    """`next_cursor` is None on the last page."""

    items: list[ExportItem]
    next_cursor: str | None


class ExportDownload(BaseModel):
    """Somebody took the file."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    actor: str
    source: str


async def list_exports(
    db: Database, *, requester: str | None, cursor: str | None = None, limit: int = LIMIT_DEFAULT
) -> ExportPage:
    """One page, newest first; `requester=None`: everybody's.

    Raises:
        TeikiError: `invalid_cursor`, or `invalid_input` for a limit outside 1–200.
    """
    query = _mine(select(exports), requester).order_by(_e.requested_at.desc(), _e.id.desc())
    if cursor is not None:
        query = query.where(after(cursor, _e.requested_at, _e.id))
    async with db.reading() as connection:
        found = (await connection.execute(query.limit(page_size(limit) + 1))).all()
    items = [_item(row) for row in found[:limit]]
    more = len(found) > limit
    return ExportPage(
        items=items, next_cursor=encode_cursor(items[-1].requested_at, items[-1].id) if more else None
    )


async def find_export(db: Database, export_id: str, *, requester: str | None) -> ExportItem | None:
    """One request; None when there is none, or when it is another's."""
    found = await _one(db, export_id, requester)
    return None if found is None else _item(found)


async def find_file(db: Database, export_id: str, *, requester: str | None) -> tuple[ExportItem, str] | None:
    """The request and the name of its file; None when there is no such request, or no file yet."""
    found = await _one(db, export_id, requester)
    return None if found is None or found.file_name is None else (_item(found), found.file_name)


async def list_downloads(db: Database, export_id: str) -> list[ExportDownload]:
    """Who took the file, in order."""
    query = select(_d.at, _d.actor, _d.source).where(_d.export_id == export_id).order_by(_d.id)
    async with db.reading() as connection:
        return [ExportDownload.model_validate(dict(row._mapping)) for row in await connection.execute(query)]


async def _one(db: Database, export_id: str, requester: str | None) -> Row[Any] | None:
    query = _mine(select(exports).where(_e.id == export_id), requester)
    async with db.reading() as connection:
        found: Row[Any] | None = (await connection.execute(query)).one_or_none()
    return found


def _mine(query: Select[Any], requester: str | None) -> Select[Any]:
    return query if requester is None else query.where(_e.requester == requester)


def _item(row: Row[Any]) -> ExportItem:
    shown = {name: row._mapping[name] for name in ExportItem.model_fields if name in row._mapping}
    advice = ADVICE.get(row.reason) if row.status == ExportStatus.FAILED else None
    return ExportItem.model_validate(shown | {"advice": advice})
