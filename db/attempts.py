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
    TRIES_MAX,
    AttemptRow,
    AttemptStateName,
    Begun,
    OpenStateName,
    abandon_attempt,
    attempt_state,
    claim_resend,
    live_attempt_exists,
    note_attempt,
    read_attempt,
    unchanged,
)
from db.effects import SET_ROW, moves_json, row_json
from db.engine import Database
from db.refunds import begin_refund, decline_refund, settle_refund
from domain.errors import ErrorCode, TeikiError
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
    "read_attempt",
    "settle_attempt",
    "settle_refund",
]

_BEGIN: Final[LiteralString] = """
WITH who AS (
    -- FOR SHARE: a block that commits first is seen here; one that comes later waits for this row.
    SELECT s.id, s.payment_method_id, m.token,
           CASE WHEN c.blocked_at IS NOT NULL THEN 'customer_blocked'
                WHEN m.blocked_at IS NOT NULL THEN 'payment_method_blocked' END AS blocked
    FROM subscriptions s
    JOIN customers c ON c.id = s.customer_id
    JOIN payment_methods m ON m.id = s.payment_method_id
    WHERE s.id = %(subscription_id)s
    FOR SHARE OF c, m
), earlier AS (
    SELECT a.state, a.decline, a.gateway_id, a.sent_at, a.resolved_at, a.amount_minor, a.currency, m.token
    FROM attempts a JOIN payment_methods m ON m.id = a.payment_method_id
    WHERE a.key = %(key)s
), revived AS (
    UPDATE attempts a SET state = 'sent', sent_at = %(at)s, payment_method_id = who.payment_method_id
    FROM who
    WHERE a.key = %(key)s AND a.state = 'unsent' AND %(resend_unsent)s AND who.blocked IS NULL
    RETURNING a.key
), payment AS (
    INSERT INTO payments (subscription_id, number, due_at, amount_minor, currency, state)
    SELECT who.id, %(number)s, %(due_at)s, %(amount_minor)s, %(currency)s, 'collecting' FROM who
    WHERE who.blocked IS NULL AND NOT EXISTS (SELECT FROM earlier)
    ON CONFLICT (subscription_id, number) DO UPDATE SET state = 'collecting'
        WHERE payments.state IN ('scheduled', 'collecting', 'failed')
    RETURNING state
), issued AS (
    INSERT INTO attempts (key, subscription_id, number, attempt, purpose, reference, state, payment_method_id,
                          amount_minor, currency, sent_at)
    SELECT %(key)s, who.id, %(number)s, %(attempt)s, 'charge', %(reference)s, 'sent', who.payment_method_id,
           %(amount_minor)s, %(currency)s, %(at)s
    FROM who, payment
    ON CONFLICT DO NOTHING
    RETURNING key
)
SELECT who.blocked, who.token AS current_token, earlier.*,
       EXISTS (SELECT FROM issued) OR EXISTS (SELECT FROM revived) AS is_new,
       (SELECT p.state FROM payments p
        WHERE p.subscription_id = %(subscription_id)s AND p.number = %(number)s) AS payment_state,
       (SELECT l.key FROM attempts l
        WHERE l.subscription_id = %(subscription_id)s AND l.number = %(number)s AND l.purpose = 'charge'
          AND l.state IN ('sent', 'unsent', 'unknown', 'pending', 'attention', 'settled')
          AND l.key <> %(key)s) AS live_key
FROM who LEFT JOIN earlier ON true
"""

_OF_EARLIER: Final = (
    "state",
    "blocked",
    "decline",
    "token",
    "gateway_id",
    "payment_state",
    "sent_at",
    "resolved_at",
    "amount_minor",
    "currency",
)

_SETTLE: Final[LiteralString] = (
    """
WITH attempt AS (
    UPDATE attempts SET
        state = 'settled', resolved_at = %(at)s, gateway_id = %(gateway_id)s,
        idempotency_check_failed = %(check_failed)s,
        needs_verification = %(check_failed)s OR state IN ('unknown', 'attention')
    WHERE key = %(key)s AND purpose = 'charge' AND state IN ('sent', 'unsent', 'unknown', 'pending', 'attention')
    RETURNING key, subscription_id, number, attempt, amount_minor, currency
), payment AS (
    UPDATE payments p SET state = 'settled', settled_at = %(at)s, skip_reason = NULL
    FROM attempt a WHERE p.subscription_id = a.subscription_id AND p.number = a.number
), entry AS (
    INSERT INTO ledger (attempt_key, kind, debit_account, credit_account, amount_minor, currency, at)
    SELECT key, 'charge', 'gateway_receivable', 'revenue', amount_minor, currency, %(at)s FROM attempt
), move AS (
    SELECT data, n FROM jsonb_array_elements(%(moves)s::jsonb) WITH ORDINALITY AS m (data, n)
), event AS (
    INSERT INTO history (subject_id, kind, at, actor, number, data)
    SELECT subscription_id, kind, %(at)s, 'system', number, data FROM (
        SELECT a.subscription_id, a.number, 'payment' AS kind, 0 AS n,
               jsonb_build_object('attempt', a.attempt, 'outcome', 'succeeded', 'gateway_id', %(gateway_id)s::text,
                                  'amount_minor', a.amount_minor, 'currency', a.currency) AS data
        FROM attempt a
        UNION ALL
        SELECT a.subscription_id, a.number, 'status', move.n, move.data FROM attempt a, move
    ) events ORDER BY n
), notice AS (
    INSERT INTO outbox (topic, subject_id, payload)
    SELECT topic, subscription_id, payload FROM (
        SELECT a.subscription_id, 'payment.settled' AS topic, 0 AS n,
               jsonb_build_object('subscription_id', a.subscription_id, 'number', a.number, 'attempt', a.attempt,
                                  'amount_minor', a.amount_minor, 'currency', a.currency) AS payload
        FROM attempt a
        UNION ALL
        SELECT a.subscription_id, 'subscription.status', move.n,
               move.data || jsonb_build_object('subscription_id', a.subscription_id, 'number', a.number)
        FROM attempt a, move
    ) notices ORDER BY n
), subscription AS (
    UPDATE subscriptions s SET """  # noqa: S608 - a constant of ours, no input
    + SET_ROW
    + """ FROM attempt a WHERE s.id = a.subscription_id
)
SELECT 1 AS changed FROM attempt
"""
)

_DECLINE: Final[LiteralString] = """
WITH attempt AS (
    UPDATE attempts SET state = 'declined', resolved_at = %(at)s, decline = %(decline)s,
        gateway_code = %(gateway_code)s, gateway_id = COALESCE(%(gateway_id)s, gateway_id)
    WHERE key = %(key)s AND purpose = 'charge' AND state IN ('sent', 'unsent', 'unknown', 'pending', 'attention')
    RETURNING subscription_id, number, attempt, amount_minor, currency,
        jsonb_strip_nulls(jsonb_build_object('attempt', attempt, 'outcome', 'failed', 'decline', decline,
            'gateway_code', gateway_code, 'gateway_id', gateway_id,
            'amount_minor', amount_minor, 'currency', currency)) AS facts
), payment AS (
    -- Nobody collects for a subscription that has ended; else its retries go on.
    UPDATE payments p SET state = 'failed'
    FROM attempt a JOIN subscriptions s ON s.id = a.subscription_id
    WHERE p.subscription_id = a.subscription_id AND p.number = a.number AND p.state = 'collecting'
      AND s.status IN ('canceled', 'completed')
), event AS (
    INSERT INTO history (subject_id, kind, at, actor, number, data)
    SELECT subscription_id, 'payment', %(at)s, 'system', number, facts FROM attempt
), notice AS (
    INSERT INTO outbox (topic, subject_id, payload)
    SELECT 'payment.failed', subscription_id,
           facts || jsonb_build_object('subscription_id', subscription_id, 'number', number) FROM attempt
)
SELECT 1 AS changed FROM attempt
"""


async def begin_attempt(
    db: Database,
    *,
    key: str,
    reference: str,
    subscription_id: str,
    number: int,
    attempt: int,
    due_at: datetime,
    amount_minor: int,
    currency: str,
    at: datetime,
    resend_unsent: bool = False,
) -> Begun:
    """Write the attempt down before the gateway is called, unless it must not be sent.

    Args:
        db: the database.
        key: the idempotency key; the same attempt always has the same.
        reference: what the gateway stores and an unknown outcome is looked up by.
        subscription_id: whose payment it is; its customer's card is charged.
        number: of the scheduled payment.
        attempt: of that payment, from 1.
        due_at: the payment's due instant.
        amount_minor: minor units of `currency`; the payment keeps the amount of its first attempt.
        currency: ISO 4217.
        at: when it is sent, in the subscription's time.
        resend_unsent: the caller wants to send an attempt again that surely never left.

    Raises:
        TeikiError: `live_attempt_exists` when another attempt of the payment is live, or the payment is
            settled; `invalid_status` when it was skipped; `subscription_not_found`.
    """
    parameters = {
        "key": key,
        "reference": reference,
        "subscription_id": subscription_id,
        "number": number,
        "attempt": attempt,
        "due_at": due_at,
        "amount_minor": amount_minor,
        "currency": currency,
        "at": at,
        "resend_unsent": resend_unsent,
    }
    for _ in range(TRIES_MAX):
        row = await db.fetch_one(_BEGIN, parameters)
        begun = _judge(row, parameters)
        if begun is not None:
            return begun
    raise TeikiError(
        ErrorCode.DATABASE_UNAVAILABLE, "The attempt kept changing under our hands; try again.", key=key
    )


def _judge(row: dict[str, Any] | None, asked: Mapping[str, Any]) -> Begun | None:
    """What the statement found; None: somebody else wrote in the same instant, look again."""
    if row is None:
        raise TeikiError(
            ErrorCode.SUBSCRIPTION_NOT_FOUND,
            "There is no such subscription.",
            subscription_id=asked["subscription_id"],
        )
    if row["is_new"]:
        return Begun(
            outcome="new",
            state="sent",
            token=row["current_token"],
            payment_state="collecting",
            sent_at=asked["at"],
            amount_minor=asked["amount_minor"],
            currency=asked["currency"],
        )
    held_back = row["state"] is None or (row["state"] == "unsent" and asked["resend_unsent"])
    if row["blocked"] and held_back:
        return Begun(
            outcome="blocked",
            state=row["state"],
            blocked=row["blocked"],
            decline=row["blocked"],
            payment_state=row["payment_state"],
        )
    if row["state"] is not None:
        return Begun(outcome="existing", **{name: row[name] for name in _OF_EARLIER})
    if row["live_key"] is not None:
        raise live_attempt_exists(row, asked["key"])
    if row["payment_state"] in ("skipped", "refunded"):
        raise TeikiError(
            ErrorCode.INVALID_STATUS,
            f"This payment is {row['payment_state']}; nothing is charged for it any more.",
            subscription_id=asked["subscription_id"],
            number=asked["number"],
            status=row["payment_state"],
        )
    return None


async def settle_attempt(
    db: Database,
    *,
    key: str,
    gateway_id: str,
    at: datetime,
    row: Mapping[str, Any],
    moves: Sequence[Transition],
    idempotency_check_failed: bool = False,
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
    }
    changed = await db.fetch_one(_DECLINE, parameters)
    return changed is not None or await unchanged(db, key, wanted="declined")
