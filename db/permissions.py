"""Permissions of orders that have ended: nobody else writes to them any more (spec: orders.md §6)."""

from __future__ import annotations

from datetime import datetime
from typing import Final, LiteralString

from db.engine import Database

_REVOKE: Final[LiteralString] = """
WITH permission AS (
    UPDATE permissions SET status = 'revoked', reason = %(reason)s, updated_at = %(at)s
    WHERE order_id = %(order_id)s AND status = 'active'
    RETURNING order_id, jsonb_build_object(
        'object', 'permission', 'from', 'active', 'to', 'revoked', 'reason', %(reason)s::text) AS facts
), event AS (
    INSERT INTO history (subject_id, kind, at, actor, data)
    SELECT order_id, 'status', %(at)s, 'system', facts FROM permission
), notice AS (
    INSERT INTO outbox (topic, subject_id, payload)
    SELECT 'permission.status', order_id, facts || object_named(order_id) FROM permission
)
SELECT order_id FROM permission
"""


async def revoke_permission(db: Database, order_id: str, *, at: datetime, reason: str = "chargeback") -> bool:
    """End the access that an order brought whose workflow has ended.

    Returns:
        False, and nothing changes, when there is none any more.
    """
    return await db.fetch_one(_REVOKE, {"order_id": order_id, "at": at, "reason": reason}) is not None
