"""The customer page's tab Info: every detail with its state, and the log of blocking (spec: customers.md §1).

A detail that is shared with other customers tells here, too, when it was blocked with one of them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.customer_details import DetailKind

LOG_MAX: Final = 200
"""Entries of the log, the newest ones."""


class Detail(BaseModel):
    """One detail.

    Attributes:
        shown: what a person knows it by: an address, a number, `visa …4242`, the customer's id.
        since: when it was first entered.
        blocked_at: None while it is active.
        is_current: False for an address that was corrected since.
        also_of: how many other customers have it.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    kind: DetailKind
    shown: str
    since: datetime
    blocked_at: datetime | None
    is_current: bool = True
    also_of: int = 0

    @property
    def state(self) -> str:
        return "active" if self.blocked_at is None else "blocked"


class BlockLog(BaseModel):
    """Who blocked or unblocked what, when and why. `customer_id`: another customer's, with whom a detail is shared."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    do: str
    actor: str
    comment: str
    details: list[str]
    changed: list[str]
    customer_id: str


class Info(BaseModel):
    model_config = ConfigDict(frozen=True)

    details: list[Detail]
    log: list[BlockLog]


_DETAILS: Final = text(
    """
    SELECT 1 AS place, id, 'customer' AS kind, id AS shown, created_at AS since, id_blocked_at AS blocked_at,
           true AS is_current, 0 AS also_of
    FROM customers WHERE id = :customer_id
    UNION ALL
    SELECT 2, id, CASE kind WHEN 'card' THEN 'card' ELSE 'account' END,
           btrim(brand || CASE last_four WHEN '' THEN '' ELSE ' …' || last_four END), created_at, blocked_at, true, 0
    FROM payment_methods WHERE customer_id = :customer_id AND kind <> 'konbini'
    UNION ALL
    SELECT CASE k.kind WHEN 'email' THEN 3 ELSE 4 END, k.id, k.kind, k.value, l.since, k.blocked_at,
           k.kind <> 'email' OR k.key = lower(btrim(c.email)),
           (SELECT count(*) - 1 FROM customer_contacts o WHERE o.contact_id = k.id)::int
    FROM customer_contacts l JOIN contacts k ON k.id = l.contact_id JOIN customers c ON c.id = l.customer_id
    WHERE l.customer_id = :customer_id
    ORDER BY place, since, id
    """
)
_LOG: Final = text(
    """
    SELECT subject_id, at, actor, comment, data FROM history
    WHERE subject_id = ANY(:ids) AND kind = 'operation'
      AND data->>'do' IN ('block', 'unblock', 'block_all', 'unblock_all')
      -- What this customer's own commands changed is told by the command.
      AND (subject_id = :customer_id OR data->>'customer_id' IS DISTINCT FROM :customer_id)
    ORDER BY seq DESC LIMIT :most
    """
)


async def read_info(connection: AsyncConnection, customer_id: str) -> Info:
    """Details and log; the log newest first."""
    rows = (await connection.execute(_DETAILS, {"customer_id": customer_id})).all()
    details = [
        Detail.model_validate({name: getattr(row, name) for name in Detail.model_fields}) for row in rows
    ]
    ids = [detail.id for detail in details]
    told = await connection.execute(_LOG, {"ids": ids, "customer_id": customer_id, "most": LOG_MAX})
    return Info(details=details, log=[_entry(row) for row in told])


def _entry(row: Row[Any]) -> BlockLog:
    named = row.data.get("arguments", {}).get("details") or [row.subject_id]
    return BlockLog(
        at=row.at,
        do=row.data["do"],
        actor=row.actor,
        comment=row.comment,
        details=named,
        changed=row.data.get("changed", named),
        customer_id=row.data.get("customer_id", row.subject_id),
    )
