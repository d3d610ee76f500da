"""A second charge for one payment: booked when it is found, given back by an attempt of its own, shown as an incident.

Until it is back the ledger says the truth: the gateway owes us one payment more, and we owe it to the customer
(debit gateway receivable, credit customer; the other way round when it is returned). The row that the protocol works
on is made together with the booking, so nothing found is ever forgotten (spec: charging.md §§2.5, 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, LiteralString

from db.attempt_rows import Begun, begin_with, unchanged
from db.engine import Database
from db.refunds import judge_return
from domain.errors import ErrorCode, TeikiError
from domain.money import Money

_BOOK: Final[LiteralString] = """
WITH twin AS (
    INSERT INTO attempts (key, object_id, number, attempt, purpose, reference, state, payment_method_id,
                          amount_minor, currency, sent_at, returns)
    SELECT %(key)s, object_id, number, 1, 'twin', %(reference)s, 'unsent', payment_method_id,
           %(amount_minor)s, %(currency)s, %(at)s, %(gateway_id)s
    FROM attempts WHERE key = %(charge_key)s
    ON CONFLICT DO NOTHING
    RETURNING key, object_id, number, amount_minor, currency,
        jsonb_build_object('kind', %(kind)s::text, 'gateway_id', returns, 'amount_minor', amount_minor,
                           'currency', currency) AS facts
), entry AS (
    INSERT INTO ledger (attempt_key, kind, debit_account, credit_account, amount_minor, currency, at)
    SELECT key, 'correction', 'gateway_receivable', 'customer', amount_minor, currency, %(at)s FROM twin
), incident AS (
    INSERT INTO incidents (kind, dedupe_key, subject_id, number, attempt_key, gateway_id, amount_minor, currency, facts)
    SELECT 'double_charge', 'double_charge:' || %(gateway_id)s::text, object_id, number, key, %(gateway_id)s,
           amount_minor, currency, facts FROM twin WHERE %(kind)s::text = 'double_charge'
    ON CONFLICT (dedupe_key) DO NOTHING
), event AS (
    INSERT INTO history (subject_id, kind, at, actor, number, data)
    SELECT object_id, 'incident', %(at)s, 'system', number, facts FROM twin
), notice AS (
    INSERT INTO outbox (topic, subject_id, payload)
    SELECT CASE %(kind)s::text WHEN 'double_charge' THEN 'incident.opened' ELSE 'deposit.late_money' END, object_id,
           facts || object_named(object_id) || jsonb_build_object('number', number) FROM twin
)
SELECT 1 AS changed FROM twin
"""

_BEGIN: Final[LiteralString] = """
WITH first AS (
    SELECT object_id, number, payment_method_id, amount_minor, currency FROM attempts
    WHERE returns = %(gateway_id)s AND purpose = 'twin' AND attempt = 1
), earlier AS (
    SELECT state, decline, gateway_id, sent_at, resolved_at FROM attempts WHERE key = %(key)s
), revived AS (
    UPDATE attempts SET state = 'sent', sent_at = %(at)s
    WHERE key = %(key)s AND state = 'unsent' AND %(resend_unsent)s
    RETURNING key
), issued AS (
    INSERT INTO attempts (key, object_id, number, attempt, purpose, reference, state, payment_method_id,
                          amount_minor, currency, sent_at, returns)
    SELECT %(key)s, object_id, number, %(attempt)s, 'twin', %(reference)s, 'sent', payment_method_id,
           amount_minor, currency, %(at)s, %(gateway_id)s
    FROM first WHERE NOT EXISTS (SELECT FROM earlier)
    ON CONFLICT DO NOTHING
    RETURNING key
)
SELECT %(gateway_id)s::text AS charge_id, first.amount_minor, first.currency, earlier.*,
       EXISTS (SELECT FROM issued) OR EXISTS (SELECT FROM revived) AS is_new,
       (SELECT l.key FROM attempts l
        WHERE l.returns = %(gateway_id)s AND l.purpose = 'twin' AND l.key <> %(key)s
          AND l.state IN ('sent', 'unsent', 'unknown', 'pending', 'attention', 'settled')) AS live_key,
       NULL AS payment_state
FROM first LEFT JOIN earlier ON true
"""

_SETTLE: Final[LiteralString] = """
WITH attempt AS (
    UPDATE attempts SET state = 'settled', resolved_at = %(at)s, gateway_id = %(gateway_id)s
    WHERE key = %(key)s AND purpose = 'twin' AND state IN ('sent', 'unsent', 'unknown', 'pending', 'attention')
    RETURNING key, object_id, number, amount_minor, currency,
        jsonb_build_object('outcome', 'succeeded', 'gateway_id', gateway_id, 'amount_minor', amount_minor,
                           'currency', currency, 'reason', %(reason)s::text, 'returns', returns) AS facts
), entry AS (
    INSERT INTO ledger (attempt_key, kind, debit_account, credit_account, amount_minor, currency, at)
    SELECT key, 'refund', 'customer', 'gateway_receivable', amount_minor, currency, %(at)s FROM attempt
), event AS (
    INSERT INTO history (subject_id, kind, at, actor, number, data)
    SELECT object_id, 'refund', %(at)s, 'system', number, facts FROM attempt
), notice AS (
    INSERT INTO outbox (topic, subject_id, payload)
    SELECT 'payment.refunded', object_id,
           facts || object_named(object_id) || jsonb_build_object('number', number) FROM attempt
)
SELECT 1 AS changed FROM attempt
"""


async def book_twin(
    db: Database,
    *,
    charge_key: str,
    key: str,
    reference: str,
    gateway_id: str,
    amount: Money,
    at: datetime,
    is_incident: bool = True,
) -> bool:
    """A second charge was found at the gateway: ledger, incident, history, outbox and the row of its return.

    Args:
        db: the database.
        charge_key: the attempt under whose reference it was found.
        key: the idempotency key of its return.
        reference: what its return is looked up by.
        gateway_id: the second charge, as the gateway names it.
        amount: as the gateway shows it.
        at: the instant of finding it, in the subscription's time.
        is_incident: nobody may pay twice by card; a slip that was paid late or twice is the customer's doing, and its
            money goes back without troubling anybody.

    Returns:
        False, and nothing changes, when it was booked before.
    """
    parameters = {
        "charge_key": charge_key,
        "key": key,
        "reference": reference,
        "gateway_id": gateway_id,
        "amount_minor": amount.minor,
        "currency": amount.currency,
        "at": at,
        "kind": "double_charge" if is_incident else "late_deposit",
    }
    return await db.fetch_one(_BOOK, parameters) is not None


async def begin_return(
    db: Database,
    *,
    key: str,
    reference: str,
    gateway_id: str,
    attempt: int,
    at: datetime,
    resend_unsent: bool = False,
) -> Begun:
    """May the request that returns a twin go out? The arguments are those of `begin_refund`.

    Raises:
        TeikiError: `payment_not_found` when no such twin was booked; `live_attempt_exists` when it is on its way
            back under another attempt.
    """
    parameters = {
        "key": key,
        "reference": reference,
        "gateway_id": gateway_id,
        "attempt": attempt,
        "at": at,
        "resend_unsent": resend_unsent,
    }
    return await begin_with(db, _BEGIN, parameters, _judge)


def _judge(row: dict[str, Any] | None, asked: Mapping[str, Any]) -> Begun | None:
    if row is None:
        raise TeikiError(
            ErrorCode.PAYMENT_NOT_FOUND,
            "No second charge of this id was booked.",
            gateway_id=asked["gateway_id"],
        )
    return judge_return(row, asked)


async def settle_return(
    db: Database, *, key: str, gateway_id: str, at: datetime, reason: str = "double_charge"
) -> bool:
    """The twin went back: attempt, ledger (debit customer, credit gateway receivable), history, outbox.

    Returns:
        False, and nothing changes, when it is settled already.

    Raises:
        TeikiError: `invalid_status` when it was declined; `payment_not_found`.
    """
    parameters = {"key": key, "gateway_id": gateway_id, "at": at, "reason": reason}
    changed = await db.fetch_one(_SETTLE, parameters)
    return changed is not None or await unchanged(db, key, wanted="settled")
