"""A credit that a payment company returned twice: booked when it is found, and shown as an incident.

Money that went to a customer cannot be fetched back from here. It is booked as a credit of its own, which nobody asked
for: the ledger equals the gateway's, and the balance of the payment is what is really left of it (spec: charging.md
§§2.5, 3; customers.md §3).
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, LiteralString

from db.balances import fetch_under_lock
from db.engine import Database
from domain.identifiers import idempotency_key
from domain.money import Money

_BOOK: Final[LiteralString] = """
WITH credit AS (
    INSERT INTO credits (id, object_id, number, order_id, amount_minor, currency, status, reason, accept_risk,
                         block_all, actor, created_at, ended_at)
    SELECT %(second_id)s, object_id, number, order_id, %(amount_minor)s, %(currency)s, 'returned', 'double_refund',
           false, false, 'system', %(at)s, %(at)s
    FROM credits WHERE id = %(credit_id)s
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), attempt AS (
    INSERT INTO attempts (key, object_id, number, attempt, purpose, reference, state, payment_method_id, amount_minor,
                          currency, sent_at, resolved_at, gateway_id, returns, credit_id)
    SELECT %(second_key)s, a.object_id, a.number, 1, 'refund', a.reference || '/second/' || %(gateway_id)s::text,
           'settled', a.payment_method_id, %(amount_minor)s, %(currency)s, %(at)s, %(at)s, %(gateway_id)s, a.returns,
           credit.id
    FROM attempts a, credit WHERE a.key = %(key)s
    RETURNING key, object_id, number, amount_minor, currency, credit_id,
        jsonb_build_object('kind', 'double_refund', 'gateway_id', gateway_id, 'amount_minor', amount_minor,
                           'currency', currency, 'credit_id', credit_id) AS facts
), payment AS (
    UPDATE payments p SET state = CASE
        WHEN a.amount_minor + COALESCE((SELECT sum(r.amount_minor) FROM attempts r
            WHERE r.object_id = a.object_id AND r.number = a.number AND r.purpose = 'refund'
              AND r.state = 'settled'), 0) >= p.amount_minor
        THEN 'refunded' ELSE 'partially_refunded' END
    FROM attempt a WHERE p.object_id = a.object_id AND p.number = a.number
), entry AS (
    INSERT INTO ledger (attempt_key, kind, debit_account, credit_account, amount_minor, currency, at)
    SELECT key, 'refund', 'refunds', 'gateway_receivable', amount_minor, currency, %(at)s FROM attempt
), incident AS (
    INSERT INTO incidents (kind, dedupe_key, subject_id, number, attempt_key, gateway_id, amount_minor, currency, facts)
    SELECT 'double_refund', 'double_refund:' || %(gateway_id)s::text, object_id, number, key, %(gateway_id)s,
           amount_minor, currency, facts FROM attempt
    ON CONFLICT (dedupe_key) DO NOTHING
), event AS (
    INSERT INTO history (subject_id, kind, at, actor, number, data)
    SELECT object_id, kind, %(at)s, 'system', number, data FROM (
        SELECT object_id, number, 'refund' AS kind, 0 AS n,
               facts - 'kind' || '{"outcome": "succeeded", "reason": "double_refund"}' AS data FROM attempt
        UNION ALL
        SELECT object_id, number, 'incident', 1, facts || '{"outcome": "opened"}' FROM attempt
    ) events ORDER BY n
), notice AS (
    INSERT INTO outbox (topic, subject_id, payload)
    SELECT topic, object_id, facts || object_named(object_id) || jsonb_build_object('number', number)
    FROM attempt, unnest(ARRAY['payment.refunded', 'incident.opened']) AS topic
)
SELECT 1 AS changed FROM attempt
"""


async def book_second_refund(
    db: Database, *, key: str, credit_id: str, gateway_id: str, amount: Money, at: datetime
) -> bool:
    """The gateway returned more under a credit's reference than the credit's own refund.

    Args:
        db: the database.
        key: of the credit's attempt under whose reference it was found.
        credit_id: that credit.
        gateway_id: the other refund, as the gateway names it.
        amount: as the gateway shows it.
        at: the instant of finding it, in the object's time.

    Returns:
        False, and nothing changes, when it was booked before.
    """
    second_key = idempotency_key("refund", f"second/{gateway_id}")
    parameters = {
        "key": key,
        "credit_id": credit_id,
        "second_id": f"crd_{second_key.replace('-', '')}",
        "second_key": second_key,
        "gateway_id": gateway_id,
        "amount_minor": amount.minor,
        "currency": amount.currency,
        "at": at,
    }
    return await fetch_under_lock(db, _BOOK, parameters) is not None
