"""The intent: may this attempt be sent, and its row before it is.

One statement locks the customer and the card against a block, keeps or makes the payment's row and inserts the
attempt, unless something speaks against it (spec: charging.md §2, quality.md I7).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, LiteralString

import psycopg

from db.attempt_rows import Begun, begin_with, live_attempt_exists
from db.engine import Database
from domain.errors import ErrorCode, TeikiError

_BEGIN: Final[LiteralString] = """
WITH who AS (
    -- FOR SHARE: a block that commits first is seen here; one that comes later waits for this row.
    SELECT s.id, s.customer_id, s.payment_method_id, m.token,
           CASE WHEN c.blocked_at IS NOT NULL THEN 'customer_blocked'
                WHEN m.blocked_at IS NOT NULL THEN 'payment_method_blocked' END AS blocked
    FROM payers s
    JOIN customers c ON c.id = s.customer_id
    JOIN payment_methods m ON m.id = s.payment_method_id
    WHERE s.id = %(object_id)s
    FOR SHARE OF c, m
), earlier AS (
    SELECT a.state, a.decline, a.gateway_id, a.sent_at, a.resolved_at, a.needs_verification,
           a.amount_minor, a.currency, m.token
    FROM attempts a JOIN payment_methods m ON m.id = a.payment_method_id
    WHERE a.key = %(key)s
), revived AS (
    UPDATE attempts a SET state = 'sent', sent_at = %(at)s, payment_method_id = who.payment_method_id
    FROM who
    WHERE a.key = %(key)s AND a.state = 'unsent' AND %(resend_unsent)s AND who.blocked IS NULL
    RETURNING a.key
), payment AS (
    INSERT INTO payments (object_id, number, due_at, amount_minor, currency, state)
    SELECT who.id, %(number)s, %(due_at)s, %(amount_minor)s, %(currency)s, 'collecting' FROM who
    WHERE who.blocked IS NULL AND NOT EXISTS (SELECT FROM earlier)
    ON CONFLICT (object_id, number) DO UPDATE SET state = 'collecting'
        WHERE payments.state IN ('scheduled', 'collecting', 'failed')
    RETURNING state
), issued AS (
    INSERT INTO attempts (key, object_id, customer_id, number, attempt, purpose, reference, state, payment_method_id,
                          amount_minor, currency, sent_at)
    SELECT %(key)s, who.id, who.customer_id, %(number)s, %(attempt)s, 'charge', %(reference)s, 'sent',
           who.payment_method_id, %(amount_minor)s, %(currency)s, %(at)s
    FROM who, payment
    ON CONFLICT DO NOTHING
    RETURNING key
)
SELECT who.blocked, who.token AS current_token, earlier.*,
       EXISTS (SELECT FROM issued) OR EXISTS (SELECT FROM revived) AS is_new,
       (SELECT p.state FROM payments p
        WHERE p.object_id = %(object_id)s AND p.number = %(number)s) AS payment_state,
       (SELECT l.key FROM attempts l
        WHERE l.object_id = %(object_id)s AND l.number = %(number)s AND l.purpose = 'charge'
          AND l.state IN ('sent', 'unsent', 'unknown', 'pending', 'attention', 'settled')
          AND l.key <> %(key)s) AS live_key
FROM who LEFT JOIN earlier ON true
"""

_ONE_PAYMENT_OF_ORDER: Final = "uq_payments_of_order"
_OF_EARLIER: Final = (
    "state",
    "decline",
    "token",
    "gateway_id",
    "payment_state",
    "sent_at",
    "resolved_at",
    "needs_verification",
    "amount_minor",
    "currency",
)


async def begin_attempt(
    db: Database,
    *,
    key: str,
    reference: str,
    object_id: str,
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
        object_id: the subscription or order whose payment it is; its customer's card is charged.
        number: of the scheduled payment.
        attempt: of that payment, from 1.
        due_at: the payment's due instant.
        amount_minor: minor units of `currency`; the payment keeps the amount of its first attempt.
        currency: ISO 4217.
        at: when it is sent, in the subscription's time.
        resend_unsent: the caller wants to send an attempt again that surely never left.

    Raises:
        TeikiError: `live_attempt_exists` when another attempt of the payment is live, the payment is
            settled, or another payment of the same order is collected or settled;
            `invalid_status` when it was skipped; `subscription_not_found`.
    """
    parameters = {
        "key": key,
        "reference": reference,
        "object_id": object_id,
        "number": number,
        "attempt": attempt,
        "due_at": due_at,
        "amount_minor": amount_minor,
        "currency": currency,
        "at": at,
        "resend_unsent": resend_unsent,
    }
    try:
        return await begin_with(db, _BEGIN, parameters, _judge)
    except psycopg.errors.UniqueViolation as error:
        if error.diag.constraint_name != _ONE_PAYMENT_OF_ORDER:
            raise
        raise TeikiError(
            ErrorCode.LIVE_ATTEMPT_EXISTS,
            "Another payment of this order is collected or settled: it is paid once.",
            key=key,
            object_id=object_id,
        ) from error


def _judge(row: dict[str, Any] | None, asked: Mapping[str, Any]) -> Begun | None:
    """What the statement found; None: somebody else wrote in the same instant, look again."""
    if row is None:
        raise TeikiError(
            ErrorCode.SUBSCRIPTION_NOT_FOUND,
            "There is no such subscription.",
            object_id=asked["object_id"],
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
            object_id=asked["object_id"],
            number=asked["number"],
            status=row["payment_state"],
        )
    return None
