"""Konbini slips as pages show them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row, select

from db.engine import Database
from db.order_tables import deposits
from domain.deposit import DepositStatus
from domain.money import Money
from domain.order_terms import Store


class DepositItem(BaseModel):
    """One slip. `payment_number` and `confirmation_number` are what is typed at the kiosk or shown at the till.

    Attributes:
        number: of the slip within its order.
        final_at: the end of the grace after `deadline_at`.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    order_id: str
    number: int
    status: DepositStatus
    reason: str
    store: Store
    customer_name: str
    phone: str
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
    return deposit_item(row) if row is not None else None


async def deposits_of(db: Database, order_id: str) -> list[DepositItem]:
    """The slips of an order, in the order of their numbers."""
    query = select(deposits).where(deposits.c.order_id == order_id).order_by(deposits.c.number)
    async with db.reading() as connection:
        return [deposit_item(row) for row in await connection.execute(query)]


def deposit_item(row: Row[Any]) -> DepositItem:
    """The slip of a whole row."""
    names = DepositItem.model_fields.keys() - {"amount"}
    amount = Money(minor=row.amount_minor, currency=row.currency)
    return DepositItem(**{name: getattr(row, name) for name in names}, amount=amount)
