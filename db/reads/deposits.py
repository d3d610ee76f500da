"""Konbini slips as pages show them."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from db.engine import Database
from db.order_tables import deposits
from domain.money import Money


class DepositItem(BaseModel):
    """One slip. `payment_number` and `confirmation_number` are what is typed at the kiosk or shown at the till."""

    model_config = ConfigDict(frozen=True)

    id: str
    order_id: str
    number: int
    status: str
    reason: str
    store: str
    payment_number: str
    confirmation_number: str
    gateway_id: str | None
    amount: Money
    deadline_at: datetime
    final_at: datetime
    paid_at: datetime | None
    created_at: datetime


async def find_deposit(db: Database, deposit_id: str) -> DepositItem | None:
    """None: there is no such slip."""
    async with db.reading() as connection:
        row = (await connection.execute(select(deposits).where(deposits.c.id == deposit_id))).one_or_none()
    if row is None:
        return None
    names = DepositItem.model_fields.keys() - {"amount"}
    amount = Money(minor=row.amount_minor, currency=row.currency)
    return DepositItem(**{name: getattr(row, name) for name in names}, amount=amount)
