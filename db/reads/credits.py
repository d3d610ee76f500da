"""Credits as people see them: how far each has come, and what is left of its payment (spec: customers.md §3)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row, Select, literal, select, tuple_
from sqlalchemy.sql.selectable import LateralFromClause

from db.credit_tables import credits_, payment_balances
from db.engine import Database
from db.reads.cursor import decode_cursor, encode_cursor, page_size
from db.tables import attempts
from domain.credit import CreditStatus
from domain.money import Money

LIMIT_DEFAULT: Final = 50
_k, _b = credits_.c, payment_balances.c


class CreditFilter(BaseModel):
    """Which credits; every condition given must hold. `object_id`: whose payments', or the order concerned."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    object_id: str | None = None
    number: int | None = None
    status: CreditStatus | None = None


class CreditItem(BaseModel):
    """One credit. Instants are aware, in UTC.

    Attributes:
        order_id: the order concerned, if one is.
        attempt_state: where its refund stands, while it is open; `hint`: what was seen last.
        gateway_id: where the gateway shows the refund.
        balance: what is left of the payment now.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    object_id: str
    number: int
    order_id: str | None
    amount: Money
    status: CreditStatus
    reason: str
    attempt_state: str | None
    hint: str
    gateway_id: str | None
    accept_risk: bool
    block_all: bool
    actor: str
    comment: str
    created_at: datetime
    ended_at: datetime | None
    balance: Money


class CreditPage(BaseModel):
    """`next_cursor` is None on the last page."""

    items: list[CreditItem]
    next_cursor: str | None


async def find_credit(db: Database, credit_id: str) -> CreditItem | None:
    """The credit of this id; None: there is none."""
    async with db.reading() as connection:
        row = (await connection.execute(_items().where(_k.id == credit_id))).one_or_none()
    return None if row is None else _item(row)


async def list_credits(
    db: Database,
    filter: CreditFilter | None = None,  # noqa: A002 - the field's word
    *,
    cursor: str | None = None,
    limit: int = LIMIT_DEFAULT,
) -> CreditPage:
    """One page, newest first.

    Raises:
        TeikiError: `invalid_cursor`, or `invalid_input` for a limit outside 1–200.
    """
    wanted = filter or CreditFilter()
    query = _items().order_by(_k.created_at.desc(), _k.id.desc()).limit(page_size(limit) + 1)
    if wanted.object_id is not None:
        query = query.where((_k.object_id == wanted.object_id) | (_k.order_id == wanted.object_id))
    if wanted.number is not None:
        query = query.where(_k.number == wanted.number)
    if wanted.status is not None:
        query = query.where(_k.status == wanted.status.value)
    if cursor is not None:
        at, last = decode_cursor(cursor)
        query = query.where(tuple_(_k.created_at, _k.id) < tuple_(literal(at), literal(last)))
    async with db.reading() as connection:
        rows = (await connection.execute(query)).all()
    items = [_item(row) for row in rows[:limit]]
    more = len(rows) > limit
    return CreditPage(
        items=items, next_cursor=encode_cursor(items[-1].created_at, items[-1].id) if more else None
    )


def _items() -> Select[Any]:
    last = _last_attempt()
    return (
        select(
            credits_,
            last.c.attempt_state,
            last.c.hint,
            last.c.gateway_id,
            _b.balance_minor,
        )
        .select_from(credits_)
        .outerjoin(last, literal(True))
        .outerjoin(payment_balances, (_b.object_id == _k.object_id) & (_b.number == _k.number))
    )


def _last_attempt() -> LateralFromClause:
    a = attempts.c
    return (
        select(a.state.label("attempt_state"), a.hint, a.gateway_id)
        .where(a.object_id == _k.object_id, a.number == _k.number, a.credit_id == _k.id)
        .order_by(a.attempt.desc())
        .limit(1)
        .lateral("last")
    )


def _item(row: Row[Any]) -> CreditItem:
    found = row._mapping
    shown = {name: found[name] for name in CreditItem.model_fields if name in found}
    return CreditItem.model_validate(
        shown
        | {
            "hint": row.hint or "",
            "amount": Money(minor=row.amount_minor, currency=row.currency),
            "balance": Money(minor=max(0, row.balance_minor or 0), currency=row.currency),
        }
    )
