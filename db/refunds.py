"""Giving money back: the same protocol as charging, with the same rows, under one key for ever.

What a refund returns is read from the books, never from the caller, under the payment's lock: it cannot exceed what is
left of the settled charge (spec: charging.md §§2–3, customers.md §3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, LiteralString

from db.attempt_rows import Begun, begin_with, live_attempt_exists, unchanged
from db.balances import fetch_under_lock, lock_payment_of
from db.chargebacks import note_returned_twice
from db.effects import SET_ROW, moves_json, row_json
from db.engine import Database
from domain.errors import ErrorCode, TeikiError
from domain.subscription import Transition

_BEGIN: Final[LiteralString] = """
WITH charge AS (
    -- A credit returns what was agreed when it was accepted; a refund everything that is left.
    SELECT b.charge_id, b.currency, b.payment_method_id,
           CASE WHEN %(credit_id)s::text IS NULL THEN b.balance_minor
                ELSE (SELECT k.amount_minor FROM credits k WHERE k.id = %(credit_id)s AND k.status = 'open')
           END AS amount_minor
    FROM payment_balances b WHERE b.object_id = %(object_id)s AND b.number = %(number)s
), earlier AS (
    SELECT state, decline, gateway_id, sent_at, resolved_at, needs_verification, amount_minor AS begun_minor
    FROM attempts WHERE key = %(key)s
), revived AS (
    UPDATE attempts SET state = 'sent', sent_at = %(at)s
    WHERE key = %(key)s AND state = 'unsent' AND %(resend_unsent)s
    RETURNING key
), issued AS (
    INSERT INTO attempts (key, object_id, number, attempt, purpose, reference, state, payment_method_id,
                          amount_minor, currency, sent_at, returns, credit_id)
    SELECT %(key)s, %(object_id)s, %(number)s, %(attempt)s, 'refund', %(reference)s, 'sent', payment_method_id,
           amount_minor, currency, %(at)s, charge_id, %(credit_id)s
    FROM charge WHERE amount_minor > 0 AND NOT EXISTS (SELECT FROM earlier)
    ON CONFLICT DO NOTHING
    RETURNING key
)
SELECT charge.charge_id, COALESCE(earlier.begun_minor, charge.amount_minor) AS amount_minor, charge.currency,
       earlier.*, EXISTS (SELECT FROM issued) OR EXISTS (SELECT FROM revived) AS is_new,
       (SELECT p.state FROM payments p
        WHERE p.object_id = %(object_id)s AND p.number = %(number)s) AS payment_state,
       (SELECT l.key FROM attempts l
        WHERE l.object_id = %(object_id)s AND l.number = %(number)s AND l.purpose = 'refund'
          AND l.credit_id IS NOT DISTINCT FROM %(credit_id)s
          AND l.state IN ('sent', 'unsent', 'unknown', 'pending', 'attention', 'settled')
          AND l.key <> %(key)s) AS live_key
FROM charge LEFT JOIN earlier ON true
"""

_SETTLE: Final[LiteralString] = (
    """
WITH attempt AS (
    UPDATE attempts SET
        state = 'settled', resolved_at = %(at)s, gateway_id = %(gateway_id)s,
        idempotency_check_failed = %(check_failed)s,
        needs_verification = needs_verification OR %(doubtful)s OR %(check_failed)s
    WHERE key = %(key)s AND purpose = 'refund' AND state IN ('sent', 'unsent', 'unknown', 'pending', 'attention')
    RETURNING key, object_id, number, amount_minor, currency, credit_id,
        jsonb_strip_nulls(jsonb_build_object('outcome', 'succeeded', 'gateway_id', gateway_id, 'amount_minor',
            amount_minor, 'currency', currency, 'reason', NULLIF(%(reason)s, ''), 'credit_id', credit_id)) AS facts
), payment AS (
    -- A payment that was charged back stays that: what came back from the customer is counted by it. The sum is that
    -- of before this statement: what this attempt returns is added to it.
    UPDATE payments p SET state = CASE
        WHEN p.state NOT IN ('settled', 'refunded', 'partially_refunded') THEN p.state
        WHEN a.amount_minor + COALESCE((SELECT sum(r.amount_minor) FROM attempts r
            WHERE r.object_id = a.object_id AND r.number = a.number AND r.purpose = 'refund'
              AND r.state = 'settled' AND r.key <> a.key), 0) >= p.amount_minor
        THEN 'refunded' ELSE 'partially_refunded' END
    FROM attempt a WHERE p.object_id = a.object_id AND p.number = a.number
), credit AS (
    UPDATE credits k SET status = 'returned', reason = 'returned', ended_at = %(at)s
    FROM attempt a WHERE k.id = a.credit_id
), entry AS (
    INSERT INTO ledger (attempt_key, kind, debit_account, credit_account, amount_minor, currency, at)
    SELECT key, 'refund', 'refunds', 'gateway_receivable', amount_minor, currency, %(at)s FROM attempt
), move AS (
    SELECT data, n FROM jsonb_array_elements(%(moves)s::jsonb) WITH ORDINALITY AS m (data, n)
), event AS (
    INSERT INTO history (subject_id, kind, at, actor, number, data)
    SELECT object_id, kind, %(at)s, 'system', number, data FROM (
        SELECT a.object_id, a.number, 'refund' AS kind, 0 AS n, a.facts AS data FROM attempt a
        UNION ALL
        SELECT a.object_id, a.number, 'status', move.n, move.data FROM attempt a, move
    ) events ORDER BY n
), notice AS (
    INSERT INTO outbox (topic, subject_id, payload)
    SELECT 'payment.refunded', object_id,
           facts || object_named(object_id) || jsonb_build_object('number', number) FROM attempt
), subscription AS (
    UPDATE subscriptions s SET """  # noqa: S608 - a constant of ours, no input
    + SET_ROW
    + """ FROM attempt a WHERE s.id = a.object_id
)
SELECT 1 AS changed FROM attempt
"""
)

_DECLINE: Final[LiteralString] = """
WITH attempt AS (
    UPDATE attempts SET state = 'declined', resolved_at = %(at)s, decline = %(decline)s,
        gateway_code = %(gateway_code)s, gateway_id = COALESCE(%(gateway_id)s, gateway_id),
        needs_verification = needs_verification OR %(doubtful)s
    WHERE key = %(key)s AND purpose IN ('refund', 'twin')
      AND state IN ('sent', 'unsent', 'unknown', 'pending', 'attention')
    RETURNING object_id, number,
        jsonb_strip_nulls(jsonb_build_object('outcome', 'failed', 'decline', decline, 'gateway_code', gateway_code,
            'amount_minor', amount_minor, 'currency', currency, 'credit_id', credit_id)) AS facts
), event AS (
    INSERT INTO history (subject_id, kind, at, actor, number, data)
    SELECT object_id, 'refund', %(at)s, 'system', number, facts FROM attempt
), notice AS (
    INSERT INTO outbox (topic, subject_id, payload)
    SELECT 'refund.failed', object_id,
           facts || object_named(object_id) || jsonb_build_object('number', number) FROM attempt
)
SELECT 1 AS changed FROM attempt
"""


async def begin_refund(
    db: Database,
    *,
    key: str,
    reference: str,
    object_id: str,
    number: int,
    at: datetime,
    attempt: int = 1,
    credit_id: str | None = None,
    resend_unsent: bool = False,
) -> Begun:
    """Write a refund down before the gateway is called; `charge_id` and the amount come from the books: what is left
    of the settled charge, or what the credit reserved. `nothing_left` when credits have taken it all.

    Blocks do not hold it back: money goes home, not out.

    Raises:
        TeikiError: `payment_not_found` when nothing was settled for this payment; `live_attempt_exists` when
            another refund of it is live or done.
    """
    parameters = {
        "key": key,
        "reference": reference,
        "object_id": object_id,
        "number": number,
        "attempt": attempt,
        "credit_id": credit_id,
        "at": at,
        "resend_unsent": resend_unsent,
    }
    return await begin_with(db, _BEGIN, parameters, _judge, fetch=fetch_under_lock)


def _judge(row: dict[str, Any] | None, asked: Mapping[str, Any]) -> Begun | None:
    if row is None:
        raise TeikiError(
            ErrorCode.PAYMENT_NOT_FOUND,
            "Nothing was settled for this payment, so nothing can be returned.",
            object_id=asked["object_id"],
            number=asked["number"],
        )
    return judge_return(row, asked)


def judge_return(row: dict[str, Any], asked: Mapping[str, Any]) -> Begun | None:
    """What the statement found of money that goes back, of a payment's own charge or of a twin; None: look again."""
    common = {name: row[name] for name in ("charge_id", "amount_minor", "currency", "payment_state")}
    common["needs_verification"] = bool(row.get("needs_verification"))
    if row["is_new"]:
        return Begun(outcome="new", state="sent", sent_at=asked["at"], **common)
    if row["state"] is not None:
        names = ("state", "decline", "gateway_id", "sent_at", "resolved_at")
        return Begun(outcome="existing", **common, **{name: row[name] for name in names})
    if row["live_key"] is not None:
        raise live_attempt_exists(row, asked["key"])
    if row["amount_minor"] is None:
        raise TeikiError(
            ErrorCode.CREDIT_NOT_FOUND, "There is no such open credit.", credit_id=asked["credit_id"]
        )
    return Begun(outcome="nothing_left", state=None, **common) if row["amount_minor"] <= 0 else None


async def settle_refund(
    db: Database,
    *,
    key: str,
    gateway_id: str,
    at: datetime,
    reason: str = "",
    row: Mapping[str, Any] | None = None,
    moves: Sequence[Transition] = (),
    idempotency_check_failed: bool = False,
    doubtful: bool = False,
) -> bool:
    """The money went back: attempt, payment, credit, history, outbox, ledger (debit refunds, credit receivable).

    Returns:
        False, and nothing changes, when it is settled already.

    Raises:
        TeikiError: `invalid_status` when it was declined or abandoned; `payment_not_found`.
    """
    parameters = {
        "key": key,
        "gateway_id": gateway_id,
        "at": at,
        "check_failed": idempotency_check_failed,
        "doubtful": doubtful,
        "reason": reason,
        "row": row_json(row or {}),
        "moves": moves_json(moves),
    }
    async with db.transaction() as cursor:
        payment = await lock_payment_of(cursor, key)
        await cursor.execute(_SETTLE, parameters)
        changed = await cursor.fetchone()
        if payment is not None and changed is not None:
            await note_returned_twice(cursor, payment | {"at": at})
    return changed is not None or await unchanged(db, key, wanted="settled")


async def decline_refund(
    db: Database,
    *,
    key: str,
    decline: str,
    at: datetime,
    gateway_code: str = "",
    gateway_id: str | None = None,
    doubtful: bool = False,
) -> bool:
    """The gateway refuses to return it. The payment stays settled; a person decides.

    Returns:
        False, and nothing changes, when it is declined already.
    """
    parameters = {
        "key": key,
        "decline": str(decline),
        "at": at,
        "gateway_code": gateway_code or None,
        "gateway_id": gateway_id,
        "doubtful": doubtful,
    }
    changed = await db.fetch_one(_DECLINE, parameters)
    return changed is not None or await unchanged(db, key, wanted="declined")
