"""The webhooks' inbox as people see it: `teiki webhook list` and `teiki doctor` (spec: charging.md §4).

Bodies are never shown: they may hold personal data.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select

from db.engine import Database
from db.tables import webhook_inbox

LIMIT_DEFAULT: Final = 50
_NOT_HANDLED: Final = ("waiting", "parked")


class WebhookItem(BaseModel):
    """One webhook: the names in it, and what became of it."""

    model_config = ConfigDict(frozen=True)

    id: int
    gateway: str
    event_id: str
    kind: str
    reference: str
    gateway_id: str
    state: str
    attempts: int
    received_at: datetime
    next_at: datetime
    handled_at: datetime | None
    last_error: str


class InboxCounts(BaseModel):
    """How full it is. `waiting_for_s`: seconds since the oldest that waits arrived; None when none does."""

    model_config = ConfigDict(frozen=True)

    waiting: int
    parked: int
    handled: int
    waiting_for_s: float | None


async def count_webhooks(db: Database) -> InboxCounts:
    """By state, at this instant of the database's clock."""
    c = webhook_inbox.c
    oldest = func.min(c.received_at).filter(c.state == "waiting")
    query = select(
        func.count().filter(c.state == "waiting").label("waiting"),
        func.count().filter(c.state == "parked").label("parked"),
        func.count().filter(c.handled_at.is_not(None)).label("handled"),
        func.extract("epoch", func.clock_timestamp() - oldest).label("waiting_for_s"),
    )
    async with db.reading() as connection:
        row = (await connection.execute(query)).one()
    seconds = None if row.waiting_for_s is None else float(row.waiting_for_s)
    return InboxCounts(waiting=row.waiting, parked=row.parked, handled=row.handled, waiting_for_s=seconds)


async def list_webhooks(
    db: Database, *, with_handled: bool = False, limit: int = LIMIT_DEFAULT
) -> list[WebhookItem]:
    """The newest first: those that are not handed over yet, or all."""
    columns = [webhook_inbox.c[name] for name in WebhookItem.model_fields]
    query = select(*columns).order_by(webhook_inbox.c.id.desc()).limit(limit)
    if not with_handled:
        query = query.where(webhook_inbox.c.state.in_(_NOT_HANDLED))
    async with db.reading() as connection:
        rows = (await connection.execute(query)).mappings().all()
    return [WebhookItem.model_validate(dict(row)) for row in rows]
