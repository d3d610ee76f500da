"""Charging once: the row of an attempt before the call, and everything a charge changes after it.

A successful charge costs two transactions and two round trips. Each is one statement of common table expressions,
so intent, payment, ledger, history, outbox and the subscription's row stand or fall together and the client spends
a fraction of a millisecond. Every function can run twice (spec: charging.md §§2–3, subscriptions.md §8).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, LiteralString

from db.attempt_rows import (
    AttemptRow,
    AttemptStateName,
    Begun,
    OpenStateName,
    abandon_attempt,
    attempt_state,
    claim_resend,
    note_attempt,
    note_verified,
    read_attempt,
    unchanged,
)
from db.begin import begin_attempt
from db.effects import SET_ROW, moves_json, row_json
from db.engine import Database
from db.refunds import begin_refund, decline_refund, settle_refund
from domain.subscription import Transition

__all__ = [
    "AttemptRow",
    "AttemptStateName",
    "Begun",
    "OpenStateName",
    "abandon_attempt",
    "attempt_state",
    "begin_attempt",
    "begin_refund",
    "claim_resend",
    "decline_attempt",
    "decline_refund",
    "note_attempt",
    "note_verified",
    "read_attempt",
    "settle_attempt",
    "settle_refund",
]

_SETTLE: Final[LiteralString] = (
    """
WITH attempt AS (
    UPDATE attempts SET
        state = 'settled', resolved_at = %(at)s, gateway_id = %(gateway_id)s,
        idempotency_check_failed = %(check_failed)s,
        needs_verification = needs_verification OR %(doubtful)s OR %(check_failed)s
    WHERE key = %(key)s AND purpose = 'charge' AND state IN ('sent', 'unsent', 'unknown', 'pending', 'attention')
    RETURNING key, object_id, number, attempt, amount_minor, currency
), payment AS (
    UPDATE payments p SET state = 'settled', settled_at = %(at)s, skip_reason = NULL
    FROM attempt a WHERE p.object_id = a.object_id AND p.number = a.number
), entry AS (
    INSERT INTO ledger (attempt_key, kind, debit_account, credit_account, amount_minor, currency, at)
    SELECT key, 'charge', 'gateway_receivable', 'revenue', amount_minor, currency, %(at)s FROM attempt
), move AS (
    SELECT data, n FROM jsonb_array_elements(%(moves)s::jsonb) WITH ORDINALITY AS m (data, n)
), event AS (
    INSERT INTO history (subject_id, kind, at, actor, number, data)
    SELECT object_id, kind, %(at)s, 'system', number, data FROM (
        SELECT a.object_id, a.number, 'payment' AS kind, 0 AS n,
               jsonb_build_object('attempt', a.attempt, 'outcome', 'succeeded', 'gateway_id', %(gateway_id)s::text,
                                  'amount_minor', a.amount_minor, 'currency', a.currency) AS data
        FROM attempt a
        UNION ALL
        SELECT a.object_id, a.number, 'status', move.n, move.data FROM attempt a, move
    ) events ORDER BY n
), notice AS (
    INSERT INTO outbox (topic, subject_id, payload)
    SELECT topic, object_id, payload FROM (
        SELECT a.object_id, 'payment.settled' AS topic, 0 AS n,
               object_named(a.object_id) || jsonb_build_object('number', a.number, 'attempt', a.attempt,
                                  'amount_minor', a.amount_minor, 'currency', a.currency) AS payload
        FROM attempt a
        UNION ALL
        SELECT a.object_id, 'subscription.status', move.n,
               move.data || object_named(a.object_id) || jsonb_build_object('number', a.number)
        FROM attempt a, move
    ) notices ORDER BY n
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
    WHERE key = %(key)s AND purpose = 'charge' AND state IN ('sent', 'unsent', 'unknown', 'pending', 'attention')
    RETURNING object_id, number, attempt, amount_minor, currency,
        jsonb_strip_nulls(jsonb_build_object('attempt', attempt, 'outcome', 'failed', 'decline', decline,
            'gateway_code', gateway_code, 'gateway_id', gateway_id,
            'amount_minor', amount_minor, 'currency', currency)) AS facts
), payment AS (
    -- Nobody collects for a subscription that has ended, nor for an order again; else the retries go on.
    UPDATE payments p SET state = 'failed'
    FROM attempt a
    WHERE p.object_id = a.object_id AND p.number = a.number AND p.state = 'collecting'
      AND (left(a.object_id, 4) = 'ord_'
           OR EXISTS (SELECT FROM subscriptions s WHERE s.id = a.object_id AND s.status IN ('canceled', 'completed')))
), event AS (
    INSERT INTO history (subject_id, kind, at, actor, number, data)
    SELECT object_id, 'payment', %(at)s, 'system', number, facts FROM attempt
), notice AS (
    INSERT INTO outbox (topic, subject_id, payload)
    SELECT 'payment.failed', object_id,
           facts || object_named(object_id) || jsonb_build_object('number', number) FROM attempt
)
SELECT 1 AS changed FROM attempt
"""


async def settle_attempt(
    db: Database,
    *,
    key: str,
    gateway_id: str,
    at: datetime,
    row: Mapping[str, Any],
    moves: Sequence[Transition],
    idempotency_check_failed: bool = False,
    doubtful: bool = False,
) -> bool:
    """The money moved: attempt, payment, ledger, history, outbox and the subscription's row, all at once.

    Args:
        db: the database.
        key: the attempt's idempotency key.
        gateway_id: the gateway's id of the charge.
        at: the instant of settling, in the subscription's time.
        row: the changed columns of `domain.projection.Row`, as JSON values.
        moves: the changes of status that success brings.
        idempotency_check_failed: the gateway could not check the key; marks the attempt for verification.
        doubtful: an answer on the way was ambiguous; marks it too.

    Returns:
        False, and nothing changes, when it is settled already.

    Raises:
        TeikiError: `invalid_status` when it was declined or abandoned: money nobody expected is an incident,
            never silently booked; `payment_not_found` when it was never begun.
    """
    parameters = {
        "key": key,
        "gateway_id": gateway_id,
        "at": at,
        "check_failed": idempotency_check_failed,
        "doubtful": doubtful,
        "row": row_json(row),
        "moves": moves_json(moves),
    }
    changed = await db.fetch_one(_SETTLE, parameters)
    return changed is not None or await unchanged(db, key, wanted="settled")


async def decline_attempt(
    db: Database,
    *,
    key: str,
    decline: str,
    at: datetime,
    gateway_code: str = "",
    gateway_id: str | None = None,
    doubtful: bool = False,
) -> bool:
    """A definite no. The payment stays `collecting`; what follows from it is recorded by `subscriptions.record`.

    Returns:
        False, and nothing changes, when it is declined already.

    Raises:
        TeikiError: `invalid_status` when it is settled or abandoned; `payment_not_found`.
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
