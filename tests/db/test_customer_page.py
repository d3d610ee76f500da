"""The customer page: what each tab says of payments that were made, declined and returned, and page by page."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from db.attempts import begin_refund, decline_attempt, settle_refund
from db.deliveries import pass_on
from db.reads.customer import show_customer
from db.reads.customer_transactions import Transaction
from domain.identifiers import refund_reference
from domain.money import Money
from tests.db.house import NOW, House, charge_key, refund_key, unique

YEN = Money(minor=1000, currency="JPY")


async def declined(house: House, order, number: int = 1, attempt: int = 1, *, at=NOW) -> None:
    await house.begin(order, number, attempt, at=at)
    await decline_attempt(
        house.db,
        key=charge_key(order.subscription_id, number, attempt),
        decline="insufficient_funds",
        gateway_code="51",
        gateway_id=None,
        at=at,
    )


async def refunded(house: House, order, number: int = 1, *, at=NOW) -> None:
    key = refund_key(order.subscription_id, number)
    await begin_refund(
        house.db,
        key=key,
        reference=refund_reference(order.subscription_id, number),
        object_id=order.subscription_id,
        number=number,
        at=at,
    )
    await settle_refund(house.db, key=key, gateway_id=f"re_{key}", at=at, reason="test")


async def test_every_tab_says_what_happened(house: House):
    tenant = await house.tenant(email=f"{unique('ann')}@example.com", name="Ann")
    first, second = await house.subscription(tenant), await house.subscription(tenant)
    empty = await show_customer(house.db, tenant.customer_id)
    assert (empty.details, empty.stats.by_currency if empty.stats else None) == (None, [])
    await declined(house, first, at=NOW)
    await house.settled(first, attempt=2, at=NOW + timedelta(days=1))
    await house.settled(second, at=NOW + timedelta(days=2))
    await refunded(house, first, at=NOW + timedelta(days=3))
    page = await show_customer(house.db, tenant.customer_id)

    assert page.details is not None
    assert (page.details.action, page.details.status, page.details.method) == (
        "refund",
        "settled",
        "visa …4242",
    )
    assert page.stats is not None
    (stats,) = page.stats.by_currency
    assert (stats.currency, stats.sales.count, stats.sales.amount.minor) == ("JPY", 2, 2000)
    assert (stats.refunds.count, stats.refunds.amount) == (1, YEN)
    assert {stats.credits.count, stats.chargebacks.count, stats.repayments.count} == {0}
    assert page.stats.first_at == NOW + timedelta(days=1)
    assert page.stats.last_at == NOW + timedelta(days=3)
    assert page.products is not None
    (product,) = page.products
    assert (product.way, product.purchases, product.product_name) == ("subscription", 2, "Live replay")
    assert product.last is not None
    assert product.last_successful is not None
    assert (product.last.action, product.last_successful.object_id) == ("refund", second.subscription_id)
    assert page.transactions is not None
    told = [(item.action, item.status, item.attempt, item.payment_state) for item in page.transactions.items]
    assert told == [
        ("refund", "settled", 1, "refunded"),
        ("charge", "settled", 1, "settled"),
        ("charge", "settled", 2, "refunded"),
        ("charge", "declined", 1, "refunded"),
    ]


async def test_chargebacks_and_repayments_are_counted_from_the_ledger(house: House):
    tenant = await house.tenant()
    order = await house.subscription(tenant)
    key = await house.settled(order)
    for kind, debit, credit in (
        ("chargeback", "chargebacks", "gateway_receivable"),
        ("repayment", "gateway_receivable", "repayments"),
    ):
        await house.rows(
            "INSERT INTO ledger (attempt_key, kind, debit_account, credit_account, amount_minor, currency, at)"
            " VALUES (%s, %s, %s, %s, 700, 'JPY', %s) RETURNING id",
            key,
            kind,
            debit,
            credit,
            NOW,
        )
    stats = (await show_customer(house.db, tenant.customer_id, tabs=("stats",))).stats
    assert stats is not None
    (yen,) = stats.by_currency
    assert (yen.sales.amount.minor, yen.chargebacks.amount.minor, yen.repayments.count) == (1000, 700, 1)


async def test_an_attempt_knows_whose_it_is_whoever_writes_it(house: House):
    order = await house.subscription()
    await house.settled(order)
    await refunded(house, order)
    rows = await house.rows("SELECT customer_id FROM attempts WHERE object_id = %s", order.subscription_id)
    assert [row["customer_id"] for row in rows] == [order.spec.customer_id] * 2


async def test_transactions_come_page_by_page_each_once_also_of_one_product(house: House):
    tenant = await house.tenant()
    other = await house.tenant()
    here, there = (
        await house.subscription(tenant),
        await house.subscription(type(tenant)(tenant.customer_id, tenant.card_id, other.product_id)),
    )
    for number in range(1, 6):
        # Two at the same instant: the key decides.
        await house.settled(here, number, at=NOW + timedelta(days=number // 2))
        await house.settled(there, number, at=NOW + timedelta(days=number // 2))

    async def pages(**wanted) -> list[Transaction]:
        seen: list[Transaction] = []
        cursor = None
        while True:
            page = await show_customer(
                house.db, tenant.customer_id, tabs=("transactions",), cursor=cursor, limit=3, **wanted
            )
            assert page.transactions is not None
            seen += page.transactions.items
            cursor = page.transactions.next_cursor
            if cursor is None:
                return seen

    everything = await pages()
    assert len({item.key for item in everything}) == len(everything) == 10
    assert [item.at for item in everything] == sorted((item.at for item in everything), reverse=True)
    assert {item.object_id for item in await pages(product_id=other.product_id)} == {there.subscription_id}
    assert len(await pages(product_id=other.product_id)) == 5
    assert await pages(way="one_time") == []


async def test_stats_equal_the_ledger_while_payments_are_written(house: House):
    tenant = await house.tenant()
    orders = [await house.subscription(tenant) for _ in range(8)]

    async def look() -> None:
        page = await show_customer(house.db, tenant.customer_id, tabs=("stats", "transactions"), limit=200)
        assert page.stats is not None
        assert page.transactions is not None
        settled = [item for item in page.transactions.items if item.status == "settled"]
        sales = page.stats.by_currency[0].sales.count if page.stats.by_currency else 0
        assert sales == len(settled), "all tabs come from one snapshot"

    await asyncio.gather(
        *(house.settled(order, number) for order in orders for number in (1,)), *(look() for _ in range(20))
    )
    stats = (await show_customer(house.db, tenant.customer_id, tabs=("stats",))).stats
    assert stats is not None
    booked = await house.row(
        "SELECT count(*) AS n, sum(l.amount_minor)::int AS minor FROM ledger l"
        " JOIN attempts a ON a.key = l.attempt_key WHERE a.customer_id = %s AND l.kind = 'charge'",
        tenant.customer_id,
    )
    sales = stats.by_currency[0].sales
    assert (sales.count, sales.amount.minor) == (booked["n"], booked["minor"]) == (8, 8000)


async def test_a_transaction_tells_what_endpoints_were_told_of_its_payment(house: House):
    await house.rows(
        "INSERT INTO endpoints (id, url, topics, sealed_secret)"
        " VALUES ('end_page', 'https://example.com/', '{payment.*}', '\\x00') RETURNING id"
    )
    tenant = await house.tenant()
    order = await house.subscription(tenant)
    await house.settled(order, 1)
    await house.settled(order, 2)
    while await pass_on(house.db, limit=500):
        pass
    page = await show_customer(house.db, tenant.customer_id, tabs=("transactions",))
    assert page.transactions is not None
    told = {item.number: item.deliveries for item in page.transactions.items}
    assert [len(of_one) for of_one in told.values()] == [1, 1], "each its own"
    assert [(one.topic, one.endpoint_id, one.state) for one in told[1]] == [
        ("payment.settled", "end_page", "waiting")
    ]
    assert told[2][0].state == "held", "it comes after the first one of its object"
    await house.rows("UPDATE endpoints SET state = 'removed' WHERE id = 'end_page' RETURNING id")
