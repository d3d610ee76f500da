"""A payment that was charged back, in our books: once, whoever says so and however often (spec: customers.md §4).

The row of its attempt is the guard: one per payment, written under the lock of the payment's row. The payment company's
book decides about the money, so only what it shows enters the ledger; an operator's word changes the payment at once
and waits (`pending`) for that book.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final, Literal, LiteralString, NamedTuple

from db.balances import lock_payment
from db.engine import Database
from db.repayment_balance import show_balance
from db.requests import Cursor
from db.shapes import Refused
from domain.errors import ErrorCode
from domain.identifiers import chargeback_reference, idempotency_key
from domain.money import Money

_CHARGE: Final[LiteralString] = """
SELECT reference, gateway_id, payment_method_id, amount_minor, currency FROM attempts
WHERE object_id = %(object_id)s AND number = %(number)s AND purpose = 'charge' AND state = 'settled'
"""
_EARLIER: Final[LiteralString] = """
SELECT state, amount_minor, currency FROM attempts WHERE key = %(key)s
"""
_RETURNED: Final[LiteralString] = """
SELECT coalesce(sum(amount_minor), 0)::bigint AS minor FROM attempts
WHERE object_id = %(object_id)s AND number = %(number)s AND purpose = 'refund' AND state = 'settled'
"""
_WRITE: Final[LiteralString] = """
INSERT INTO attempts (key, object_id, number, attempt, purpose, reference, state, payment_method_id, amount_minor,
    currency, sent_at, resolved_at, gateway_id, returns)
VALUES (%(key)s, %(object_id)s, %(number)s, 1, 'chargeback', %(reference)s, %(state)s, %(payment_method_id)s,
    %(amount_minor)s, %(currency)s, %(at)s, %(resolved_at)s, %(gateway_id)s, %(returns)s)
"""
_CONFIRM: Final[LiteralString] = """
UPDATE attempts SET state = 'settled', resolved_at = %(at)s, gateway_id = %(gateway_id)s,
    amount_minor = %(amount_minor)s
WHERE key = %(key)s
"""
_LEDGER: Final[LiteralString] = """
INSERT INTO ledger (attempt_key, kind, debit_account, credit_account, amount_minor, currency, at)
VALUES (%(key)s, 'chargeback', 'chargebacks', 'gateway_receivable', %(amount_minor)s, %(currency)s, %(at)s)
"""
_TELL: Final[LiteralString] = """
WITH event AS (
    INSERT INTO history (subject_id, kind, at, actor, comment, number, data)
    VALUES (%(object_id)s, 'chargeback', %(at)s, %(actor)s, %(comment)s, %(number)s, %(facts)s::jsonb)
)
INSERT INTO outbox (topic, subject_id, payload)
VALUES ('payment.chargeback', %(object_id)s,
        %(facts)s::jsonb || object_named(%(object_id)s) || jsonb_build_object('number', %(number)s::integer))
"""
RETURNED_TWICE: Final[LiteralString] = """
INSERT INTO incidents (kind, dedupe_key, subject_id, number, attempt_key, gateway_id, amount_minor, currency, facts)
SELECT 'returned_twice', 'returned_twice:' || c.key, c.object_id, c.number, c.key, c.gateway_id, c.amount_minor,
       c.currency, jsonb_build_object('charged_minor', c.amount_minor, 'returned_minor', back.minor)
FROM attempts c CROSS JOIN LATERAL (
    SELECT sum(amount_minor)::bigint AS minor FROM attempts b
    WHERE b.object_id = c.object_id AND b.number = c.number AND b.state = 'settled'
      AND b.purpose IN ('refund', 'chargeback')
) back
WHERE c.object_id = %(object_id)s AND c.number = %(number)s AND c.purpose = 'charge' AND c.state = 'settled'
  AND back.minor > c.amount_minor
ON CONFLICT (dedupe_key) DO NOTHING
RETURNING id
"""
_TELL_INCIDENT: Final[LiteralString] = """
WITH event AS (
    INSERT INTO history (subject_id, kind, at, actor, number, data)
    VALUES (%(object_id)s, 'incident', %(at)s, 'system', %(number)s, %(told)s::jsonb || '{"outcome": "opened"}')
)
INSERT INTO outbox (topic, subject_id, payload)
VALUES ('incident.opened', %(object_id)s,
        %(told)s::jsonb || object_named(%(object_id)s) || jsonb_build_object('number', %(number)s::integer))
"""


class Shown(NamedTuple):
    """A chargeback as the payment company's book shows it."""

    gateway_id: str
    amount: Money


class Taken(NamedTuple):
    """See `activities.contracts.chargebacks.ChargebackTaken`."""

    outcome: Literal["booked", "entered", "known", "not_shown", "refused"]
    amount: Money | None = None
    code: str | None = None
    message: str = ""


async def charge_id_of(db: Database, object_id: str, number: int) -> str | None:
    """The payment company's id of the charge that paid it; None: nothing was settled."""
    row = await db.fetch_one(_CHARGE, {"object_id": object_id, "number": number})
    return None if row is None else str(row["gateway_id"])


async def take_chargeback(
    db: Database,
    *,
    object_id: str,
    number: int,
    shown: Shown | None,
    entered: bool,
    at: datetime,
    actor: str,
    comment: str = "",
) -> Taken:
    """Write a chargeback down: attempt, ledger, the payment's state, history and outbox, all at once, once.

    Args:
        db: the database.
        object_id: whose payment it is.
        number: of the payment.
        shown: what the payment company's book shows; None: nothing.
        entered: an operator's word, which stands also without it.
        at: when it is written down.
        actor: who said so.
        comment: for operators.

    Returns:
        `refused` with `payment_not_found`, with `invalid_status` when nothing was paid or all of it went back, or with
        `gateway_disagrees` when the book shows another currency or more than was paid.
    """
    payment = {"object_id": object_id, "number": number, "at": at, "actor": actor, "comment": comment}
    try:
        async with db.transaction() as cursor:
            return await _take(cursor, payment, shown, entered=entered)
    except Refused as refusal:
        return Taken("refused", None, refusal.code, refusal.message)


async def _take(cursor: Cursor, payment: dict[str, Any], shown: Shown | None, *, entered: bool) -> Taken:
    if await lock_payment(cursor, payment["object_id"], payment["number"]) is None:
        raise Refused(ErrorCode.PAYMENT_NOT_FOUND, "There is no such payment.")
    charge = await _one(cursor, _CHARGE, payment)
    if charge is None:
        raise Refused(ErrorCode.INVALID_STATUS, "Only a payment that was made can be charged back.")
    reference = chargeback_reference(charge["reference"])
    payment |= {"key": idempotency_key("chargeback", reference), "reference": reference}
    earlier = await _one(cursor, _EARLIER, payment)
    if earlier is not None and (shown is None or earlier["state"] == "settled"):
        return Taken("known", Money(minor=earlier["amount_minor"], currency=earlier["currency"]))
    if shown is None and not entered:
        return Taken("not_shown")
    amount = _believable(shown.amount, charge) if shown else await _left(cursor, payment, charge)
    payment |= {
        "amount_minor": amount.minor,
        "currency": amount.currency,
        "gateway_id": shown.gateway_id if shown else None,
        "state": "settled" if shown else "pending",
        "resolved_at": payment["at"] if shown else None,
        "payment_method_id": charge["payment_method_id"],
        "returns": charge["gateway_id"],
    }
    await cursor.execute(_WRITE if earlier is None else _CONFIRM, payment)
    if shown is not None:
        await cursor.execute(_LEDGER, payment)
    await show_balance(cursor, payment["object_id"], payment["number"])
    if earlier is None:
        await _tell(cursor, payment)
    await note_returned_twice(cursor, payment)
    return Taken("booked" if shown else "entered", amount)


def _believable(amount: Money, charge: dict[str, Any]) -> Money:
    if amount.currency != charge["currency"] or amount.minor > charge["amount_minor"]:
        raise Refused(
            ErrorCode.GATEWAY_DISAGREES, f"The gateway shows a chargeback of {amount}, which cannot be."
        )
    return amount


async def _left(cursor: Cursor, payment: dict[str, Any], charge: dict[str, Any]) -> Money:
    """Of an operator's chargeback: all that did not go back before."""
    returned = await _one(cursor, _RETURNED, payment)
    assert returned is not None
    left = charge["amount_minor"] - returned["minor"]
    if left <= 0:
        raise Refused(ErrorCode.INVALID_STATUS, "All of this payment went back already.")
    return Money(minor=left, currency=charge["currency"])


async def _tell(cursor: Cursor, payment: dict[str, Any]) -> None:
    facts = {"amount_minor": payment["amount_minor"], "currency": payment["currency"]}
    if payment["gateway_id"] is not None:
        facts |= {"gateway_id": payment["gateway_id"]}
    await cursor.execute(_TELL, payment | {"facts": json.dumps(facts)})


async def note_returned_twice(cursor: Cursor, payment: dict[str, Any]) -> None:
    """More went back than was paid, by refund and chargeback together: an incident, once."""
    incident = await _one(cursor, RETURNED_TWICE, payment)
    if incident is not None:
        told = {"incident_id": incident["id"], "kind": "returned_twice"}
        await cursor.execute(_TELL_INCIDENT, payment | {"told": json.dumps(told)})


async def _one(cursor: Cursor, sql: LiteralString, parameters: dict[str, Any]) -> dict[str, Any] | None:
    await cursor.execute(sql, parameters)
    return await cursor.fetchone()
