"""Entering an export, its turn, and each change of its status.

Each call is one transaction and can run twice. The status moves along `domain.exports.NEXT` only: whoever comes late is
told where the export stands. A file counts when its name stands in the row, and it is put there before it is written
(spec: exports.md).
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString, NamedTuple, Protocol

from db.engine import Database
from db.requests import Cursor, claim
from db.sealed_secrets import drop_with
from db.shapes import Refused
from db.steps import conflict
from domain.errors import ErrorCode
from domain.exports import CREATION_MAX, NEXT, RUNNING_MAX, ExportStatus

REQUEST_SCOPE: Final = "export.request"
_GRACE: Final = timedelta(minutes=5)
"""What is not where it should be so long after its time is left behind by a workflow that is gone."""
_SEEN_LIFE: Final = timedelta(minutes=10)
"""A waiting request whose workflow was not heard of for so long keeps nobody waiting."""

_ENTER: Final[LiteralString] = """
INSERT INTO exports (id, kind, filter, requester, comment, language, zone, encrypted, again_of,
                     status, reason, requested_at, seen_at)
VALUES (%(id)s, %(kind)s, %(filter)s::jsonb, %(actor)s, %(comment)s, %(language)s, %(zone)s, %(encrypted)s,
        %(again_of)s, 'requested', 'requested', %(at)s, %(at)s)
"""
_IS_SEALED: Final[LiteralString] = "SELECT 1 AS yes FROM sealed_secrets WHERE export_id = %(id)s"
_LOCK: Final[LiteralString] = "SELECT * FROM exports WHERE id = %(id)s FOR NO KEY UPDATE"
_ONE_AT_A_TIME: Final[LiteralString] = (
    "SELECT pg_advisory_xact_lock(hashtextextended('exports of ' || %(requester)s, 0))"
)
_BEFORE_IT: Final[LiteralString] = """
SELECT count(*) AS others FROM exports
WHERE requester = %(requester)s AND id <> %(id)s
  AND (status = 'creating' AND started_at > %(running_since)s
       OR status = 'requested' AND seen_at > %(seen_since)s AND (requested_at, id) < (%(requested_at)s, %(id)s))
"""
_START: Final[LiteralString] = """
UPDATE exports SET status = 'creating', reason = 'its_turn', started_at = %(at)s WHERE id = %(id)s
"""
_SEEN: Final[LiteralString] = "UPDATE exports SET seen_at = %(at)s WHERE id = %(id)s"
_OWN_FILE: Final[LiteralString] = "UPDATE exports SET file_name = %(file_name)s WHERE id = %(id)s"
_OWNS: Final[LiteralString] = """
SELECT 1 AS yes FROM exports WHERE id = %(id)s AND status IN ('creating', 'ready') AND file_name = %(file_name)s
"""
_MOVE: Final[LiteralString] = """
UPDATE exports SET status = %(to)s, reason = %(reason)s,
    ready_at = CASE WHEN %(to)s = 'ready' THEN %(at)s ELSE ready_at END,
    expires_at = COALESCE(%(expires_at)s, expires_at),
    rows = COALESCE(%(rows)s, rows), size_bytes = COALESCE(%(size_bytes)s, size_bytes),
    ended_at = CASE WHEN %(to)s IN ('expired', 'failed') THEN %(at)s END
WHERE id = %(id)s
"""
_NEXT_UP: Final[LiteralString] = """
SELECT id FROM exports WHERE requester = %(requester)s AND status = 'requested'
ORDER BY requested_at, id LIMIT %(most)s
"""
_EVENT: Final[LiteralString] = """
INSERT INTO history (subject_id, kind, at, actor, comment, data)
VALUES (%(id)s, %(kind)s, %(at)s, %(actor)s, %(comment)s, %(data)s::jsonb)
"""
_OVERDUE: Final[LiteralString] = """
SELECT id, status FROM exports
WHERE status = 'ready' AND expires_at <= %(at)s OR status = 'creating' AND started_at <= %(started_by)s
"""
_FILES_THAT_COUNT: Final[LiteralString] = """
SELECT file_name FROM exports WHERE status IN ('creating', 'ready') AND file_name = ANY(%(names)s)
"""


class Request(Protocol):
    """`activities.contracts.exports.OpenExport` fits."""

    @property
    def export_id(self) -> str: ...
    @property
    def request_id(self) -> str: ...
    @property
    def actor(self) -> str: ...
    @property
    def comment(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def kind(self) -> str: ...
    @property
    def filter(self) -> dict[str, Any]: ...
    @property
    def language(self) -> str: ...
    @property
    def zone(self) -> str: ...
    @property
    def encrypted(self) -> bool: ...
    @property
    def again_of(self) -> str | None: ...


class Change(Protocol):
    """`activities.contracts.exports.RecordExport` fits."""

    @property
    def export_id(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def to(self) -> ExportStatus: ...
    @property
    def reason(self) -> str: ...
    @property
    def actor(self) -> str: ...
    @property
    def comment(self) -> str: ...
    @property
    def request_id(self) -> str | None: ...
    @property
    def operation(self) -> str | None: ...
    @property
    def file_name(self) -> str | None: ...
    @property
    def rows(self) -> int | None: ...
    @property
    def size_bytes(self) -> int | None: ...
    @property
    def expires_at(self) -> datetime | None: ...


class Entered(NamedTuple):
    """`outcome`: opened, duplicate (of `export_id`) or refused."""

    outcome: str
    export_id: str
    code: str | None = None
    message: str = ""
    facts: dict[str, Any] = {}  # noqa: RUF012 - never changed


class Moved(NamedTuple):
    """Where the export stands now, the file that was its own, and who may be next."""

    status: ExportStatus
    reason: str
    file_name: str | None
    next_up: list[str]


async def enter_export(db: Database, request: Request) -> Entered:
    """Enter a request.

    Returns:
        `opened` (also when this very export was entered before); `duplicate` with the id of an earlier request's
        export; `refused` with `request_id_conflict` or `export_password_gone`. Without `opened`, nothing is written
        and a password that was sealed for it is deleted.
    """
    try:
        async with db.transaction() as cursor:
            return await _enter(cursor, request)
    except Refused as refusal:
        async with db.transaction() as cursor:
            await drop_with(cursor, request.export_id)
        return Entered("refused", request.export_id, refusal.code, refusal.message, refusal.facts)


async def _enter(cursor: Cursor, request: Request) -> Entered:
    asked = {
        "kind": request.kind,
        "filter": request.filter,
        "language": request.language,
        "zone": request.zone,
        "encrypted": request.encrypted,
        "again_of": request.again_of,
    }
    claimed = await claim(
        cursor,
        scope=REQUEST_SCOPE,
        request_id=request.request_id,
        content={**asked, "actor": request.actor},
        subject_id=request.export_id,
        at=request.at,
    )
    if claimed.kind == "conflict":
        raise conflict(request.request_id)
    if claimed.kind == "repeated":
        if claimed.subject_id == request.export_id:
            return Entered("opened", request.export_id)
        await drop_with(cursor, request.export_id)
        return Entered("duplicate", claimed.subject_id)
    if request.encrypted:
        await cursor.execute(_IS_SEALED, {"id": request.export_id})
        if await cursor.fetchone() is None:
            raise Refused(ErrorCode.EXPORT_PASSWORD_GONE, "The sealed password is gone; request it again.")
    row = {**asked, "id": request.export_id, "filter": json.dumps(request.filter)}
    await cursor.execute(
        _ENTER, {**row, "actor": request.actor, "comment": request.comment, "at": request.at}
    )
    given = {name: value for name, value in asked.items() if value not in (None, {})}
    told = {"do": "request", "arguments": given, "request_id": request.request_id}
    await _event(cursor, request, "operation", told)
    first = {"from": None, "to": "requested", "reason": "requested"}
    await _event(cursor, request, "status", first)
    return Entered("opened", request.export_id)


async def take_turn(db: Database, export_id: str, *, at: datetime) -> dict[str, Any]:
    """Start it, when fewer than two of the requester's are running and none waits before it.

    Returns:
        The row: its `status` is now `creating` (also when it was before), still `requested`, or final.
    """
    async with db.transaction() as cursor:
        row = await _locked(cursor, export_id)
        if row["status"] != ExportStatus.REQUESTED:
            return row
        await cursor.execute(_ONE_AT_A_TIME, row)
        since = {"running_since": at - CREATION_MAX - _GRACE, "seen_since": at - _SEEN_LIFE}
        await cursor.execute(_BEFORE_IT, {**row, **since})
        before = await cursor.fetchone()
        assert before is not None
        if before["others"] >= RUNNING_MAX:
            await cursor.execute(_SEEN, {"id": export_id, "at": at})
            return row
        await cursor.execute(_START, {"id": export_id, "at": at})
        await cursor.execute(
            _EVENT, _told(export_id, at, "system", "status", _move("requested", "creating", "its_turn"))
        )
        return {**row, "status": "creating", "started_at": at}


async def own_file(db: Database, export_id: str, file_name: str) -> tuple[dict[str, Any], str | None] | None:
    """Put the name of the file that is about to be written into the row.

    Returns:
        The request, and the name of an earlier run's file, which is rubbish now; None when it is not being created.
    """
    async with db.transaction() as cursor:
        row = await _locked(cursor, export_id)
        if row["status"] != ExportStatus.CREATING:
            return None
        await cursor.execute(_OWN_FILE, {"id": export_id, "file_name": file_name})
        return row, row["file_name"]


async def owns_file(db: Database, export_id: str, file_name: str) -> bool:
    """Whether this is still the file that counts."""
    return await db.fetch_one(_OWNS, {"id": export_id, "file_name": file_name}) is not None


async def move(db: Database, change: Change) -> Moved:
    """Change its status, and with it delete the sealed password, which nobody needs any more.

    A change that cannot follow from where the export stands writes nothing; the answer tells where it stands.
    """
    async with db.transaction() as cursor:
        row = await _locked(cursor, change.export_id)
        status = ExportStatus(row["status"])
        stale = change.file_name is not None and change.file_name != row["file_name"]
        if change.to not in NEXT[status] or stale:
            waiting = await _next_up(cursor, row) if change.to is status else []
            return Moved(status, row["reason"], row["file_name"], waiting)
        values = {
            name: getattr(change, name) for name in ("at", "reason", "rows", "size_bytes", "expires_at")
        }
        await cursor.execute(_MOVE, {**values, "id": change.export_id, "to": change.to.value})
        await drop_with(cursor, change.export_id)
        if change.operation is not None:
            told: dict[str, Any] = {"do": change.operation, "arguments": {}, "request_id": change.request_id}
            await _event(cursor, change, "operation", told)
        await _event(cursor, change, "status", _move(status.value, change.to.value, change.reason))
        return Moved(change.to, change.reason, row["file_name"], await _next_up(cursor, row))


async def overdue(db: Database, *, at: datetime) -> list[tuple[str, ExportStatus]]:
    """Exports that should have ended by now: `ready` past their time, or `creating` for too long."""
    async with db.transaction() as cursor:
        await cursor.execute(_OVERDUE, {"at": at, "started_by": at - CREATION_MAX - _GRACE})
        return [(row["id"], ExportStatus(row["status"])) for row in await cursor.fetchall()]


async def files_that_count(db: Database, names: list[str]) -> set[str]:
    """Those of these files that belong to an export that is being created or can be downloaded."""
    async with db.transaction() as cursor:
        await cursor.execute(_FILES_THAT_COUNT, {"names": names})
        return {row["file_name"] for row in await cursor.fetchall()}


async def _next_up(cursor: Cursor, row: dict[str, Any]) -> list[str]:
    """Whose turn may have come: the requester's first in the line."""
    await cursor.execute(_NEXT_UP, {"requester": row["requester"], "most": RUNNING_MAX})
    return [waiting["id"] for waiting in await cursor.fetchall()]


async def _locked(cursor: Cursor, export_id: str) -> dict[str, Any]:
    await cursor.execute(_LOCK, {"id": export_id})
    row = await cursor.fetchone()
    assert row is not None, "entered before anything else happens to it"
    return row


def _move(old: str, new: str, reason: str) -> dict[str, str]:
    return {"from": old, "to": new, "reason": reason}


async def _event(cursor: Cursor, said: Request | Change, kind: str, data: dict[str, Any]) -> None:
    comment = said.comment if kind == "operation" else ""
    await cursor.execute(_EVENT, _told(said.export_id, said.at, said.actor, kind, data, comment))


def _told(
    export_id: str, at: datetime, actor: str, kind: str, data: dict[str, Any], comment: str = ""
) -> dict[str, Any]:
    return {
        "id": export_id,
        "at": at,
        "actor": actor,
        "kind": kind,
        "comment": comment,
        "data": json.dumps(data, default=str),
    }
