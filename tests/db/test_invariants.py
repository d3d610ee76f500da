"""What must never happen is refused by the database itself, whoever writes."""

import psycopg
import pytest

from tests.db.house import NOW, House, unique

_COPY_ATTEMPT = """
INSERT INTO attempts (key, object_id, number, attempt, purpose, reference, state, payment_method_id,
                      amount_minor, currency, sent_at, resolved_at, gateway_id)
SELECT %(key)s, object_id, number, %(attempt)s, purpose, %(reference)s, %(state)s, payment_method_id,
       amount_minor, currency, sent_at, %(resolved_at)s, %(gateway_id)s
FROM attempts WHERE object_id = %(subscription_id)s AND number = 1 LIMIT 1
"""


async def violates(house: House, constraint: str, sql: str, parameters=()):
    with pytest.raises(psycopg.errors.IntegrityError) as caught:
        async with house.db.transaction() as cursor:
            await cursor.execute(sql, parameters)
    assert caught.value.diag.constraint_name == constraint


@pytest.mark.parametrize("state", ["sent", "unsent", "unknown", "pending", "attention", "settled"])
async def test_one_live_attempt_per_payment(house: House, state):
    order = await house.subscription()
    await house.begin(order)
    copy = {
        "subscription_id": order.subscription_id,
        "key": unique("key"),
        "reference": unique("ref"),
        "attempt": 2,
        "state": state,
        "resolved_at": NOW if state == "settled" else None,
        "gateway_id": unique("ch"),
    }
    await violates(house, "uq_attempts_live", _COPY_ATTEMPT, copy)


async def test_references_attempts_and_gateway_ids_are_used_once(house: House):
    order = await house.subscription()
    await house.settled(order)
    stored = (await house.everything(order.subscription_id))["attempts"][0]
    copy = {
        "subscription_id": order.subscription_id,
        "key": unique("key"),
        "reference": unique("ref"),
        "attempt": 2,
        "state": "abandoned",
        "resolved_at": NOW,
        "gateway_id": None,
    }
    await violates(house, "uq_attempts_reference", _COPY_ATTEMPT, copy | {"reference": stored["reference"]})
    await violates(house, "uq_attempts_attempt", _COPY_ATTEMPT, copy | {"attempt": 1})
    other = await house.subscription()
    await house.begin(other)
    claim = "UPDATE attempts SET state = 'settled', resolved_at = now(), gateway_id = %s WHERE object_id = %s"
    await violates(house, "uq_attempts_gateway_id", claim, (stored["gateway_id"], other.subscription_id))


@pytest.mark.parametrize(
    ("constraint", "change"),
    [
        ("ck_attempts_state_known", "UPDATE attempts SET state = 'lost', resolved_at = NULL"),
        ("ck_attempts_purpose_known", "UPDATE attempts SET purpose = 'gift'"),
        ("ck_attempts_amount_positive", "UPDATE attempts SET amount_minor = 0"),
        ("ck_attempts_resolved_is_dated", "UPDATE attempts SET resolved_at = NULL"),
        ("ck_attempts_settled_has_gateway_id", "UPDATE attempts SET gateway_id = NULL"),
        ("ck_attempts_declined_has_reason", "UPDATE attempts SET state = 'declined'"),
        ("ck_payments_settled_is_dated", "UPDATE payments SET settled_at = NULL"),
        ("ck_payments_skipped_has_reason", "UPDATE payments SET state = 'skipped', settled_at = NULL"),
        ("ck_payments_state_known", "UPDATE payments SET state = 'paid', settled_at = NULL"),
        ("ck_payments_currency_code", "UPDATE payments SET currency = 'yen'"),
        ("fk_attempts_payment", "DELETE FROM payments"),
        ("ck_subscriptions_status_known", "UPDATE subscriptions SET status = 'happy'"),
        ("ck_subscriptions_next_step_whole", "UPDATE subscriptions SET next_at = NULL"),
        ("ck_subscriptions_amount_positive", "UPDATE subscriptions SET amount_minor = 0"),
        ("ck_subscriptions_charged_not_negative", "UPDATE subscriptions SET charges = -1"),
        ("ck_payment_methods_last_four_only", "UPDATE payment_methods SET last_four = '12345'"),
        ("ck_products_price_whole", "UPDATE products SET price_minor = 5"),
    ],
)
async def test_impossible_rows_are_refused(house: House, constraint, change):
    order = await house.subscription()
    await house.settled(order)
    owner = {
        "attempts": "object_id = %(subscription)s",
        "payments": "subscription_id = %(subscription)s",
        "subscriptions": "id = %(subscription)s",
        "payment_methods": "id = %(card)s",
        "products": "id = %(product)s",
    }
    table = next(word for word in change.split() if word in owner)
    ids = {
        "subscription": order.subscription_id,
        "card": order.spec.payment_method_id,
        "product": order.spec.product_id,
    }
    await violates(house, constraint, f"{change} WHERE {owner[table]}", ids)


@pytest.mark.parametrize(
    ("constraint", "change"),
    [
        ("ck_ledger_debit_account_known", {"debit": "pocket"}),
        ("ck_ledger_credit_account_known", {"credit": "pocket"}),
        ("ck_ledger_two_accounts", {"credit": "fees"}),
        ("ck_ledger_amount_positive", {"amount": -1}),
        ("ck_ledger_currency_code", {"currency": "JPYX"}),
        ("ck_ledger_kind_known", {"kind": "gift"}),
        ("uq_ledger_attempt_kind", {"kind": "charge"}),
        ("fk_ledger_attempt_key", {"key": "none"}),
    ],
)
async def test_the_ledger_takes_balanced_transfers_of_known_attempts_only(house: House, constraint, change):
    order = await house.subscription()
    transfer = {
        "key": await house.settled(order),
        "kind": "fee",
        "debit": "fees",
        "credit": "gateway_receivable",
        "amount": 30,
        "currency": "JPY",
    }
    insert = """
        INSERT INTO ledger (attempt_key, kind, debit_account, credit_account, amount_minor, currency, at)
        VALUES (%(key)s, %(kind)s, %(debit)s, %(credit)s, %(amount)s, %(currency)s, now())
    """
    await violates(house, constraint, insert, transfer | change)
    async with house.db.transaction() as cursor:
        await cursor.execute(insert, transfer)


async def test_nobody_pays_with_another_customers_card(house: House):
    order = await house.subscription()
    stranger = (await house.tenant()).card_id
    await violates(
        house,
        "fk_subscriptions_payment_method_of_customer",
        "UPDATE subscriptions SET payment_method_id = %s WHERE id = %s",
        (stranger, order.subscription_id),
    )


async def test_event_keys_and_usable_links_are_single(house: House):
    order = await house.subscription()
    event = (
        "INSERT INTO history (subject_id, kind, at, actor, event_key) VALUES (%s, 'note', now(), 'test', %s)"
    )
    key = unique("event")
    async with house.db.transaction() as cursor:
        await cursor.execute(event, (order.subscription_id, key))
    await violates(house, "uq_history_event_key", event, (order.subscription_id, key))
    link = "INSERT INTO card_links (token_hash, subscription_id, expires_at, created_at) VALUES (%s, %s, now(), now())"
    async with house.db.transaction() as cursor:
        await cursor.execute(link, (unique("hash"), order.subscription_id))
    await violates(house, "uq_card_links_usable", link, (unique("hash"), order.subscription_id))
