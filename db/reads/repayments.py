"""Repayments as lists and pages show them (spec: customers.md §4)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row, Select, literal, select, tuple_

from db.engine import Database
from db.reads.cursor import decode_cursor, encode_cursor, page_size
from db.tables import repayments
from domain.money import Money
from domain.repayment import RepaymentKind, RepaymentStatus

LIMIT_DEFAULT: Final = 50
_r = repayments.c


class RepaymentItem(BaseModel):
    """One repayment.

    Attributes:
        amount: what is asked for, or came; `paid`: what came.
        method: and `received_as`, `received_on`: of money that came otherwise than by a link.
        reminders: how many were sent.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    object_id: str
    number: int
    kind: RepaymentKind
    status: RepaymentStatus
    reason: str
    amount: Money
    paid: Money
    actor: str
    comment: str
    method: str | None
    received_as: str | None
    received_on: date | None
    expires_at: datetime | None
    reminders: int
    created_at: datetime


class RepaymentPage(BaseModel):
    """`next_cursor` is None on the last page."""

    items: list[RepaymentItem]
    next_cursor: str | None


async def find_repayment(db: Database, repayment_id: str) -> RepaymentItem | None:
    """None: there is no such repayment."""
    async with db.reading() as connection:
        row = (await connection.execute(select(repayments).where(_r.id == repayment_id))).one_or_none()
    return _item(row) if row is not None else None


async def list_repayments(
    db: Database,
    *,
    object_id: str | None = None,
    number: int | None = None,
    status: RepaymentStatus | None = None,
    cursor: str | None = None,
    limit: int = LIMIT_DEFAULT,
) -> RepaymentPage:
    """One page, newest first; every condition given must hold.

    Raises:
        TeikiError: `invalid_cursor`, `invalid_input` for a limit outside 1–200.
    """
    query: Select[Any] = select(repayments).order_by(_r.created_at.desc(), _r.id.desc())
    for column, value in ((_r.object_id, object_id), (_r.number, number), (_r.status, status)):
        if value is not None:
            query = query.where(column == value)
    if cursor is not None:
        created_at, last = decode_cursor(cursor)
        query = query.where(tuple_(_r.created_at, _r.id) < tuple_(literal(created_at), literal(last)))
    async with db.reading() as connection:
        found = (await connection.execute(query.limit(page_size(limit) + 1))).all()
    rows = found[:limit]
    more = len(found) > limit
    return RepaymentPage(
        items=[_item(row) for row in rows],
        next_cursor=encode_cursor(rows[-1].created_at, rows[-1].id) if more else None,
    )


def _item(row: Row[Any]) -> RepaymentItem:
    names = RepaymentItem.model_fields.keys() - {"amount", "paid"}
    return RepaymentItem(
        **{name: getattr(row, name) for name in names},
        amount=Money(minor=row.amount_minor, currency=row.currency),
        paid=Money(minor=row.paid_minor, currency=row.currency),
    )
