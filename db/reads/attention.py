"""What waits for a person: attempts whose outcome nobody could find out, and open incidents (charging.md §2)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row, select

from db.engine import Database
from db.reads.incidents import IncidentItem, list_incidents
from db.tables import attempts
from domain.money import Money


class WaitingAttempt(BaseModel):
    """An attempt in `attention`. `reference` names it; `since`: when it was first sent; `hint`: what was last seen."""

    model_config = ConfigDict(frozen=True)

    reference: str
    purpose: Literal["charge", "refund", "twin", "repayment"]
    object_id: str
    number: int
    attempt: int
    returns: str | None
    credit_id: str | None = None
    amount: Money
    since: datetime
    hint: str


class Waiting(BaseModel):
    """Everything that waits, oldest attempts first, newest incidents first; at most `limit` of each."""

    attempts: list[WaitingAttempt]
    incidents: list[IncidentItem]


async def waiting(db: Database, *, limit: int = 200) -> Waiting:
    """What a person is asked to settle now."""
    query = _WAITING.order_by(attempts.c.recorded_at, attempts.c.key).limit(limit)
    async with db.reading() as connection:
        rows = (await connection.execute(query)).all()
    page = await list_incidents(db, limit=limit)
    return Waiting(attempts=[_item(row) for row in rows], incidents=page.items)


async def waiting_attempt(db: Database, reference: str) -> WaitingAttempt | None:
    """The attempt of this reference, when it waits for a person."""
    async with db.reading() as connection:
        row = (await connection.execute(_WAITING.where(attempts.c.reference == reference))).one_or_none()
    return _item(row) if row is not None else None


_WAITING: Final = select(attempts).where(attempts.c.state == "attention")


def _item(row: Row[Any]) -> WaitingAttempt:
    names = WaitingAttempt.model_fields.keys() - {"amount", "since"}
    known = {name: getattr(row, name) for name in names}
    amount = Money(minor=row.amount_minor, currency=row.currency)
    return WaitingAttempt(**known, amount=amount, since=row.sent_at)
