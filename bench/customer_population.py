"""The money of the benchmark's shop (`bench.order_population`): payments, attempts, bookings and notices of every
purchase.

Made from the orders inside Postgres. A recurring order gets its subscription with one to six payments; one purchase in
fifty was declined first, one in a hundred went back.
"""

from __future__ import annotations

from typing import Final, LiteralString

from psycopg import AsyncConnection

from bench.order_population import Shop

STEPS: Final[tuple[LiteralString, ...]] = (
    """
    INSERT INTO subscriptions (id, customer_id, product_id, order_id, payment_method_id, terms, currency, period, zone,
        anchor_on, status, reason, failing, charges, charged_minor, amount_minor, created_at, updated_at)
    SELECT 'sub_' || substr(id, 5), customer_id, product_id, id, payment_method_id, '{}', 'JPY', 'monthly', zone,
           created_at::date, 'current', 'first_payment_succeeded', false, 1, 3500, 3500, created_at, created_at
    FROM orders WHERE pay = 'recurring'
    """,
    """
    CREATE TEMP TABLE paid (object_id text COLLATE "C", customer_id text, number int, payment_method_id text,
        at timestamptz, n bigint)
    """,
    """
    INSERT INTO paid
    SELECT id, customer_id, 1, payment_method_id, created_at, row_number() OVER () FROM orders
    WHERE paid_minor > 0 AND pay <> 'recurring'
    UNION ALL
    SELECT s.id, s.customer_id, k, payment_method_id, created_at + k * interval '30 days', row_number() OVER ()
    FROM subscriptions s, generate_series(1, 1 + abs(hashtext(s.id)) % 6) k
    """,
    "TRUNCATE payments CASCADE",
    """
    INSERT INTO payments (object_id, number, due_at, amount_minor, currency, state, settled_at)
    SELECT object_id, number, at, 3500, 'JPY', CASE WHEN n % 100 = 0 THEN 'refunded' ELSE 'settled' END, at FROM paid
    """,
    """
    INSERT INTO attempts (key, object_id, customer_id, number, attempt, purpose, reference, state, payment_method_id,
        amount_minor, currency, sent_at, resolved_at, decline, gateway_id, returns)
    SELECT gen_random_uuid()::text, object_id, customer_id, number, 1, 'charge',
           object_id || '/' || number || '/1', 'declined',
           payment_method_id, 3500, 'JPY', at - interval '1 day', at, 'insufficient_funds', NULL, NULL
    FROM paid WHERE n % 50 = 0
    UNION ALL
    SELECT gen_random_uuid()::text, object_id, customer_id, number, 2, 'charge',
           object_id || '/' || number || '/2', 'settled',
           payment_method_id, 3500, 'JPY', at, at, NULL, 'ch_' || object_id || number, NULL FROM paid
    UNION ALL
    SELECT gen_random_uuid()::text, object_id, customer_id, number, 1, 'refund',
           object_id || '/' || number || '/refund', 'settled',
           payment_method_id, 3500, 'JPY', at, at, NULL, 're_' || object_id || number, 'ch_' || object_id || number
    FROM paid WHERE n % 100 = 0
    """,
    """
    INSERT INTO ledger (attempt_key, kind, debit_account, credit_account, amount_minor, currency, at)
    SELECT key, purpose, CASE purpose WHEN 'charge' THEN 'gateway_receivable' ELSE 'refunds' END,
           CASE purpose WHEN 'charge' THEN 'revenue' ELSE 'gateway_receivable' END, amount_minor, currency, sent_at
    FROM attempts WHERE state = 'settled'
    """,
    """
    INSERT INTO contacts (id, kind, value, key, created_at)
    SELECT 'eml_' || substr(id, 5), 'email', email, lower(email), created_at FROM customers
    """,
    """
    INSERT INTO customer_contacts (customer_id, contact_id, since)
    SELECT id, 'eml_' || substr(id, 5), created_at FROM customers
    """,
    """
    INSERT INTO history (subject_id, kind, at, actor, data)
    SELECT id, 'operation', created_at, 'service:bench', '{"do": "place", "arguments": {}}'::jsonb FROM orders
    UNION ALL
    SELECT id, 'operation', created_at, 'service:bench', '{"do": "put_customer", "arguments": {}}'::jsonb FROM customers
    """,
    """
    INSERT INTO endpoints (id, url, topics, sealed_secret)
    SELECT 'ep_' || n, 'https://receiver.example/' || n, '{}', '\\x00' FROM generate_series(1, 2) n
    """,
    # Every payment is told to both endpoints.
    """
    INSERT INTO outbox (topic, subject_id, payload, delivered_at)
    SELECT 'payment.settled', object_id, jsonb_build_object('number', number), at FROM paid
    """,
    """
    INSERT INTO deliveries (endpoint_id, event_id, subject_id, state, tries, tried_until, finished_at)
    SELECT e.id, o.id, o.subject_id, 'delivered', 1, now(), now() FROM outbox o, endpoints e
    """,
    "DROP TABLE paid",
    "VACUUM ANALYZE",
)


async def fill_money(connection: AsyncConnection[object], shop: Shop) -> None:
    """After `order_population.fill`, over the same connection: triggers and foreign keys are off."""
    for step in STEPS:
        await connection.execute(step)
