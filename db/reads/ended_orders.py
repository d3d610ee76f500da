"""Why an order takes no command any more: its final status, and who used its ticket."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select

from db.engine import Database
from db.order_tables import orders, permissions


class EndedOrder(NamedTuple):
    """`permission`: its status, None when there was none."""

    status: str
    permission: str | None
    used_at: datetime | None
    used_by: str | None


async def ended_state(db: Database, order_id: str) -> EndedOrder | None:
    """None: there is no such order."""
    p = permissions.c
    query = (
        select(orders.c.status, p.status.label("permission"), p.used_at, p.used_by)
        .select_from(orders.outerjoin(permissions, p.order_id == orders.c.id))
        .where(orders.c.id == order_id)
    )
    async with db.reading() as connection:
        row = (await connection.execute(query)).one_or_none()
    return EndedOrder(row.status, row.permission, row.used_at, row.used_by) if row is not None else None
