"""How an order stands, in few words: what simulations compare and pages show on top."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select

from db.engine import Database
from db.order_tables import orders, permissions
from db.tables import attempts, ledger
from domain.errors import ErrorCode, TeikiError
from domain.money import Money

_NO_CURRENCY: Final = "JPY"
"""Of nothing: an order without a price moves no money."""


class PermissionOutcome(BaseModel):
    model_config = ConfigDict(frozen=True)

    status: str
    starts_at: datetime
    ends_at: datetime | None
    membership_number: int | None


class OrderOutcome(BaseModel):
    """`refunded`: everything that went back, late money included; `fees`: what remittances cost."""

    model_config = ConfigDict(frozen=True)

    number: str
    status: str
    reason: str
    payment_status: str
    payments: int
    zone: str
    confirmed_at: datetime | None
    expires_on: date | None
    points_earned: int
    points_expected: int
    next_payment_at: datetime | None
    permission: PermissionOutcome | None
    refunded: Money
    fees: Money


async def order_outcome(db: Database, order_id: str, objects: Sequence[str]) -> OrderOutcome:
    """From one snapshot.

    Args:
        db: the database.
        order_id: whose.
        objects: the order and, when it is recurring, its subscription: whose ledger entries count.

    Raises:
        TeikiError: `order_not_found`.
    """
    booked = (
        select(ledger.c.kind, func.sum(ledger.c.amount_minor))
        .join(attempts, attempts.c.key == ledger.c.attempt_key)
        .where(attempts.c.object_id.in_(objects), ledger.c.kind.in_(("refund", "fee")))
        .group_by(ledger.c.kind)
    )
    async with db.reading() as connection:
        row = (await connection.execute(select(orders).where(orders.c.id == order_id))).one_or_none()
        if row is None:
            raise TeikiError(ErrorCode.ORDER_NOT_FOUND, "There is no such order.", order_id=order_id)
        found = await connection.execute(select(permissions).where(permissions.c.order_id == order_id))
        granted = found.one_or_none()
        sums = {kind: int(total) for kind, total in await connection.execute(booked)}
    currency = row.currency or _NO_CURRENCY
    names = OrderOutcome.model_fields.keys() - {"permission", "refunded", "fees"}
    permission = granted and PermissionOutcome(
        **{name: getattr(granted, name) for name in PermissionOutcome.model_fields}
    )
    return OrderOutcome(
        **{name: getattr(row, name) for name in names},
        permission=permission,
        refunded=Money(minor=sums.get("refund", 0), currency=currency),
        fees=Money(minor=sums.get("fee", 0), currency=currency),
    )
