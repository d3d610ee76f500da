"""The audit as people read it, its head, and the whole of it for verifying; and who holds which role."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row, Text, cast, func, select

from db.engine import Database
from db.reads.cursor import page_size
from db.snapshot import Snapshot, snapshot
from db.tables import audit, history, role_grants
from domain.audit_chain import GENESIS, Entry, Head, Told
from domain.errors import ErrorCode, TeikiError
from domain.free_text import repeatable
from domain.roles import Role

LIMIT_DEFAULT: Final = 50
_PATIENCE: Final = timedelta(hours=1)
_a, _h, _g = audit.c, history.c, role_grants.c


class AuditItem(BaseModel):
    """One row: who did what to what, or was refused.

    Attributes:
        action: what was done, in history's word; of a refused call the operation's name.
        details: of the row of history that it tells of, or of what was refused.
    """

    model_config = ConfigDict(frozen=True)

    seq: int
    recorded_at: datetime
    actor: str
    action: str
    subject_id: str
    outcome: str
    request_id: str | None
    comment: str
    details: dict[str, Any]


class AuditPage(BaseModel):
    """Newest first; `next_cursor` asks for older ones."""

    items: list[AuditItem]
    next_cursor: str | None


class GrantItem(BaseModel):
    """A role that somebody holds, or held."""

    model_config = ConfigDict(frozen=True)

    operator: str
    role: Role
    granted_at: datetime
    granted_by: str
    comment: str
    revoked_at: datetime | None
    revoked_by: str | None
    revoking_comment: str


class Grants(BaseModel):
    """`enforced`: there was an admin once, so roles are asked for."""

    enforced: bool
    grants: list[GrantItem]


async def list_audit(
    db: Database,
    *,
    actor: str | None = None,
    subject_id: str | None = None,
    since: datetime | None = None,
    denied: bool = False,
    cursor: str | None = None,
    limit: int = LIMIT_DEFAULT,
) -> AuditPage:
    """One page, newest first; `denied`: only refused calls.

    Raises:
        TeikiError: `invalid_cursor`; `invalid_input` for a limit outside 1–200.
    """
    query = select(audit, _h.comment, _h.data).join(history, _h.seq == _a.history_seq, isouter=True)
    if actor is not None:
        query = query.where(_a.actor == actor)
    if subject_id is not None:
        query = query.where(_a.subject_id == subject_id)
    if since is not None:
        query = query.where(_a.recorded_at >= since)
    if denied:
        query = query.where(_a.outcome == "denied")
    if cursor is not None:
        query = query.where(_a.seq < _older_than(cursor))
    async with db.reading() as connection:
        found = (await connection.execute(query.order_by(_a.seq.desc()).limit(page_size(limit) + 1))).all()
    items = [_item(row) for row in found[:limit]]
    return AuditPage(items=items, next_cursor=str(items[-1].seq) if len(found) > limit else None)


async def head(db: Database) -> Head:
    """The last row's number and hash; zeros before the first one."""
    async with db.reading() as connection:
        row = (await connection.execute(select(_a.seq, _a.hash).order_by(_a.seq.desc()).limit(1))).first()
    return Head(0, GENESIS) if row is None else Head(row.seq, row.hash)


async def list_grants(db: Database, *, with_revoked: bool = False) -> Grants:
    """Who holds which role, by operator; `with_revoked`: also who held them."""
    query = select(role_grants).order_by(_g.operator, _g.id)
    admins = select(func.count()).where(_g.role == Role.ADMIN.value).select_from(role_grants)
    async with db.reading() as connection:
        enforced = bool((await connection.execute(admins)).scalar_one())
        rows = (
            await connection.execute(query if with_revoked else query.where(_g.revoked_at.is_(None)))
        ).all()
    return Grants(enforced=enforced, grants=[GrantItem.model_validate(dict(row._mapping)) for row in rows])


class Chain(NamedTuple):
    """The whole audit at one instant.

    Attributes:
        rows: how many there are.
        entries: all of them in order, each with the row of history that it tells of, written as the database wrote it
            when it was hashed.
        untold: asks, after the entries, for the first row of history that somebody else than the engine wrote and no
            entry tells of; only since there is an audit.
    """

    rows: int
    entries: Iterator[Entry]
    untold: Callable[[], int | None]


@contextmanager
def whole_chain(url: str) -> Iterator[Chain]:
    """Open it for reading once. Blocking; for a thread."""
    query = (
        select(
            _a.seq,
            _a.recorded_at,
            _a.actor,
            _a.action,
            _a.subject_id,
            _a.outcome,
            _a.history_seq,
            _a.content,
            _a.prev_hash,
            _a.hash,
            cast(_h.seq, Text),
            _h.subject_id,
            _h.kind,
            func.audit_instant(_h.at),
            _h.actor,
            _h.comment,
            cast(_h.number, Text),
            cast(_h.data, Text),
        )
        .join(history, _h.seq == _a.history_seq, isouter=True)
        .order_by(_a.seq)
    )
    with snapshot(url, patience=_PATIENCE) as taken, closing(taken.batches(query)) as batches:
        entries = (_entry(row) for batch in batches for row in batch)
        yield Chain(taken.count(select(_a.seq)), entries, lambda: _untold(taken))


def _untold(taken: Snapshot) -> int | None:
    first = select(func.min(_a.history_seq)).scalar_subquery()
    query = (
        select(func.min(_h.seq))
        .join(audit, _a.history_seq == _h.seq, isouter=True)
        .where(
            _h.seq >= first,
            _h.actor != "system",
            _h.kind.not_in(("status", "points")),
            _a.seq.is_(None),
        )
    )
    [[(found,)]] = list(taken.batches(query))
    return None if found is None else int(found)


def _entry(row: tuple[Any, ...]) -> Entry:
    entry, told = Entry(*row[:10]), row[10:]
    if entry.history_seq is None:
        return entry
    return entry._replace(
        history_digest=_digest_in(entry.content), told=None if told[0] is None else Told(told)
    )


def _digest_in(content: str) -> str:
    """The digest that was written down; an empty one, which nothing has, where a tampered row holds none."""
    try:
        return str(json.loads(content).get("history_sha256", ""))
    except (ValueError, AttributeError):
        return ""


def _item(row: Row[Any]) -> AuditItem:
    content = json.loads(row.content)
    return AuditItem(
        seq=row.seq,
        recorded_at=row.recorded_at,
        actor=row.actor,
        action=row.action,
        subject_id=row.subject_id,
        outcome=row.outcome,
        request_id=content.pop("request_id", None),
        comment=row.comment or content.pop("comment", ""),
        details=row.data or {name: value for name, value in content.items() if name != "history_sha256"},
    )


def _older_than(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 18):
        raise TeikiError(ErrorCode.INVALID_CURSOR, "This cursor is none of ours.", cursor=repeatable(cursor))
    return int(cursor)
