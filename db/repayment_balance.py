"""What is owed for a payment that was charged back, under the lock of the payment's row.

Whoever moves money for it takes this lock first and reads afterwards, so that of two that are too much together the
second is refused (spec: customers.md §4).
"""

from __future__ import annotations

from typing import Final, LiteralString

from db.requests import Cursor
from domain.repayment import Balance

_SUMS: Final[LiteralString] = """
SELECT
    coalesce(sum(amount_minor) FILTER (
        WHERE purpose = 'chargeback' AND state NOT IN ('declined', 'abandoned')), 0)::bigint AS charged_back,
    coalesce(sum(amount_minor) FILTER (
        WHERE purpose IN ('repayment', 'receipt') AND state = 'settled'), 0)::bigint AS repaid,
    coalesce(sum(amount_minor) FILTER (
        WHERE purpose = 'repayment' AND state IN ('sent', 'unsent', 'unknown', 'pending', 'attention')), 0)::bigint
        AS on_its_way
FROM attempts WHERE object_id = %(object_id)s AND number = %(number)s
"""
_SHOW: Final[LiteralString] = """
UPDATE payments SET state = %(state)s WHERE object_id = %(object_id)s AND number = %(number)s
"""


async def balance_of(cursor: Cursor, object_id: str, number: int) -> Balance:
    """What is owed; exact only under `db.balances.lock_payment`."""
    await cursor.execute(_SUMS, {"object_id": object_id, "number": number})
    row = await cursor.fetchone()
    assert row is not None
    return Balance(**row)


async def show_balance(cursor: Cursor, object_id: str, number: int) -> Balance:
    """Let the payment's state say what the books now say of it; under the payment's lock."""
    balance = await balance_of(cursor, object_id, number)
    await cursor.execute(_SHOW, {"object_id": object_id, "number": number, "state": balance.payment_state})
    return balance
