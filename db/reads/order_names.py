"""Which order is meant: by its id, its number, its permission, or the subscription that pays it."""

from __future__ import annotations

from sqlalchemy import or_, select

from db.engine import Database
from db.order_tables import orders, permissions
from domain.identifiers import order_of_subscription


async def find_order_id(db: Database, name: str) -> str | None:
    """The id of the order with this id or order number, or with the permission of this id; None: there is none."""
    if "\x00" in name:
        return None
    o, p = orders.c, permissions.c
    of_permission = select(p.order_id).where(p.id == name).scalar_subquery()
    query = select(o.id).where(or_(o.id == name, o.number == name, o.id == of_permission))
    async with db.reading() as connection:
        found: str | None = (await connection.execute(query)).scalar_one_or_none()
    return found


async def paid_object(db: Database, order_id: str) -> str:
    """Whose payments pay the order: its subscription's, or its own."""
    o = orders.c
    async with db.reading() as connection:
        query = select(o.subscription_id).where(o.id == order_id)
        subscription_id: str | None = (await connection.execute(query)).scalar_one_or_none()
    return subscription_id or order_id


async def order_paid_by(db: Database, subscription_id: str) -> str | None:
    """The order that this subscription pays; None: a subscription of its own."""
    o = orders.c
    query = select(o.id).where(
        o.id == order_of_subscription(subscription_id), o.subscription_id == subscription_id
    )
    async with db.reading() as connection:
        found: str | None = (await connection.execute(query)).scalar_one_or_none()
    return found
