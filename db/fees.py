"""What the payment company takes for a remittance: for each request, also for one that failed (spec: orders.md §4)."""

from __future__ import annotations

from datetime import datetime
from typing import Final, LiteralString

from db.engine import Database

_BOOK: Final[LiteralString] = """
WITH entry AS (
    INSERT INTO ledger (attempt_key, kind, debit_account, credit_account, amount_minor, currency, at)
    SELECT key, 'fee', 'fees', 'gateway_receivable', %(fee_minor)s, currency, %(at)s FROM attempts WHERE key = %(key)s
    ON CONFLICT (attempt_key, kind) DO NOTHING
    RETURNING attempt_key, amount_minor, currency
)
INSERT INTO history (subject_id, kind, at, actor, number, data)
SELECT a.object_id, 'fee', %(at)s, 'system', a.number,
       jsonb_build_object('amount_minor', entry.amount_minor, 'currency', entry.currency, 'reason', 'remittance',
                          'attempt', a.attempt)
FROM entry JOIN attempts a ON a.key = entry.attempt_key
RETURNING 1 AS booked
"""


async def book_fee(db: Database, *, key: str, fee_minor: int, at: datetime) -> bool:
    """Debit fees, credit gateway receivable, once per attempt.

    Args:
        db: the database.
        key: of the attempt that asked for the remittance.
        fee_minor: minor units of the attempt's currency; 0: nothing is taken, nothing is written.
        at: the instant, in the order's time.

    Returns:
        False, and nothing changes, when it was booked before or there is none.
    """
    if not fee_minor:
        return False
    return await db.fetch_one(_BOOK, {"key": key, "fee_minor": fee_minor, "at": at}) is not None
