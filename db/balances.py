"""What is left of a payment: locked first, counted then (spec: customers.md §3).

Every reservation of money that goes back (a credit, a refund) and every booking of it takes the payment's lock, so
that one after another sees what the other took. The count must be a statement of its own: within one statement a
waiting transaction would still see the sums from before it waited.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, LiteralString

from db.engine import Database
from db.requests import Cursor

_LOCK: Final[LiteralString] = """
SELECT state, currency FROM payments
WHERE object_id = %(object_id)s AND number = %(number)s FOR NO KEY UPDATE
"""
_LOCK_OF_ATTEMPT: Final[LiteralString] = """
SELECT p.object_id, p.number FROM payments p JOIN attempts a ON a.object_id = p.object_id AND a.number = p.number
WHERE a.key = %(key)s FOR NO KEY UPDATE OF p
"""


async def lock_payment(cursor: Cursor, object_id: str, number: int) -> tuple[str, str] | None:
    """Hold the payment until the transaction ends: its state and currency; None: there is no such payment."""
    await cursor.execute(_LOCK, {"object_id": object_id, "number": number})
    payment = await cursor.fetchone()
    return None if payment is None else (str(payment["state"]), str(payment["currency"]))


async def lock_payment_of(cursor: Cursor, key: str) -> dict[str, Any] | None:
    """Hold the payment of an attempt: `object_id` and `number`; None: there is no such attempt."""
    await cursor.execute(_LOCK_OF_ATTEMPT, {"key": key})
    return await cursor.fetchone()


async def fetch_under_lock(
    db: Database, sql: LiteralString, parameters: Mapping[str, Any]
) -> dict[str, Any] | None:
    """One statement about an attempt's payment, under its lock. `parameters` name `key`, or the payment."""
    lock = _LOCK if "number" in parameters else _LOCK_OF_ATTEMPT
    async with db.transaction() as cursor:
        await cursor.execute(lock, parameters)
        await cursor.execute(sql, parameters)
        return await cursor.fetchone()
