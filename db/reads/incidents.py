"""Incidents as lists and pages show them, newest first (spec: charging.md §2.6)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Row, func, select

from db.engine import Database
from db.reads.cursor import after, encode_cursor, page_size
from db.tables import incidents
from domain.money import Money

LIMIT_DEFAULT: Final = 50


class IncidentItem(BaseModel):
    """One incident. `amount`: what it is about; `facts`: what was seen when it was opened."""

    model_config = ConfigDict(frozen=True)

    id: str
    kind: str
    subject_id: str | None
    number: int | None
    attempt_key: str | None
    gateway_id: str | None
    amount: Money | None
    facts: dict[str, Any]
    opened_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    closing_comment: str


class IncidentPage(BaseModel):
    items: list[IncidentItem]
    next_cursor: str | None


async def count_open(db: Database) -> int:
    """How many wait for a person."""
    query = select(func.count()).select_from(incidents).where(incidents.c.closed_at.is_(None))
    async with db.reading() as connection:
        return int((await connection.execute(query)).scalar_one())


async def list_incidents(
    db: Database,
    *,
    subject_id: str | None = None,
    with_closed: bool = False,
    cursor: str | None = None,
    limit: int = LIMIT_DEFAULT,
) -> IncidentPage:
    """One page: the open ones, or all; of one subject, or of everything."""
    c = incidents.c
    conditions: list[ColumnElement[bool]] = [] if with_closed else [c.closed_at.is_(None)]
    if subject_id is not None:
        conditions.append(c.subject_id == subject_id)
    if cursor is not None:
        conditions.append(after(cursor, c.opened_at, c.id))
    query = select(incidents).where(*conditions).order_by(c.opened_at.desc(), c.id.desc())
    async with db.reading() as connection:
        found = (await connection.execute(query.limit(page_size(limit) + 1))).all()
    rows = list(found[:limit])
    more = len(found) > limit
    return IncidentPage(
        items=[_item(row) for row in rows],
        next_cursor=encode_cursor(rows[-1].opened_at, rows[-1].id) if more else None,
    )


def _item(row: Row[Any]) -> IncidentItem:
    amount = None if row.currency is None else Money(minor=row.amount_minor, currency=row.currency)
    names = IncidentItem.model_fields.keys() - {"amount"}
    return IncidentItem.model_validate({name: getattr(row, name) for name in names} | {"amount": amount})
