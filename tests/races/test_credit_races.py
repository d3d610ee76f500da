"""Credits on a real server: what goes back, what is left, and who hears of it (spec: customers.md §3)."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from domain.errors import ErrorCode, TeikiError
from domain.money import Money
from tests.races.conftest import Hall, said

pytestmark = [pytest.mark.xdist_group("races"), pytest.mark.timeout(300)]


def yen(minor: int) -> Money:
    return Money(minor=minor, currency="JPY")


async def sums(hall: Hall, order) -> tuple[int, int, str]:
    row = await hall.desk.house.row(
        "SELECT paid_minor, refunded_minor, payment_status FROM orders WHERE id = %s", order.id
    )
    return row["paid_minor"], row["refunded_minor"], row["payment_status"]


async def payment_state(hall: Hall, order) -> str:
    row = await hall.desk.house.row("SELECT state FROM payments WHERE object_id = %s", order.id)
    return row["state"]


async def becomes(hall: Hall, order, wanted: tuple[int, int, str]) -> None:
    async def so() -> bool:
        return await sums(hall, order) == wanted

    try:
        await hall.eventually(so)
    except TimeoutError:
        assert await sums(hall, order) == wanted


async def test_parts_go_back_until_nothing_is_left(hall: Hall):
    order = await hall.place()
    first = await hall.teiki.payments.credit(order.id, 1, yen(300), comment="a scratch")
    assert (first.status, first.amount, first.balance) == ("returned", yen(300), yen(700))
    assert await payment_state(hall, order) == "partially_refunded"
    await becomes(hall, order, (1000, 300, "payment_completed"))
    with pytest.raises(TeikiError) as refused:
        await hall.teiki.payments.credit(order.id, 1, yen(701))
    assert refused.value.code is ErrorCode.CREDIT_EXCEEDS_BALANCE
    assert refused.value.facts["balance"] == {"minor": 700, "currency": "JPY"}
    rest = await hall.teiki.payments.credit(order.id, 1)
    assert (rest.status, rest.amount, rest.balance) == ("returned", yen(700), yen(0))
    assert await payment_state(hall, order) == "refunded"
    await becomes(hall, order, (1000, 1000, "refunded"))
    await hall.books_agree(order, 0)
    notices = await hall.desk.house.rows(
        "SELECT payload FROM outbox WHERE subject_id = %s AND topic = 'payment.refunded' ORDER BY id",
        order.id,
    )
    assert [notice["payload"]["credit_id"] for notice in notices] == [first.id, rest.id]


async def test_the_same_request_is_one_credit_and_with_another_amount_a_conflict(hall: Hall):
    order = await hall.place()
    asked = [hall.teiki.payments.credit(order.id, 1, yen(100), request_id=f"r-{order.id}") for _ in range(5)]
    made = await asyncio.gather(*asked)
    assert len({credit.id for credit in made}) == 1
    await hall.books_agree(order, 900)
    with pytest.raises(TeikiError) as refused:
        await hall.teiki.payments.credit(order.id, 1, yen(101), request_id=f"r-{order.id}")
    assert refused.value.code is ErrorCode.REQUEST_ID_CONFLICT
    await hall.books_agree(order, 900)


async def test_many_at_the_same_moment_never_return_more_than_was_paid(hall: Hall):
    order = await hall.place()
    asked = [said(hall.teiki.payments.credit(order.id, 1, yen(300))) for _ in range(8)]
    assert Counter(await asyncio.gather(*asked)) == {"done": 3, "credit_exceeds_balance": 5}
    await becomes(hall, order, (1000, 900, "payment_completed"))
    await hall.books_agree(order, 100)


async def test_a_cancellation_returns_what_credits_have_left(hall: Hall):
    order = await hall.place()
    await hall.teiki.payments.credit(order.id, 1, yen(300))
    await becomes(hall, order, (1000, 300, "payment_completed"))
    assert await order.refund_amount() == yen(700)
    await order.cancel()
    await becomes(hall, order, (1000, 1000, "refunded"))
    await hall.books_agree(order, 0)
    with pytest.raises(TeikiError) as refused:
        await hall.teiki.payments.credit(order.id, 1)
    assert refused.value.facts["balance"] == {"minor": 0, "currency": "JPY"}


async def test_a_credit_and_a_cancellation_at_the_same_moment_return_the_payment_once(hall: Hall):
    async def race(number: int) -> None:
        order = await hall.place()
        amount = yen(1000) if number % 2 else yen(400)
        await asyncio.gather(
            said(hall.teiki.payments.credit(order.id, 1, amount)),
            said(order.cancel()),
        )
        await becomes(hall, order, (1000, 1000, "refunded"))
        await hall.books_agree(order, 0)
        assert await payment_state(hall, order) == "refunded"

    for number in range(8):
        await race(number)


async def test_an_order_that_has_ended_is_brought_up_to_date_in_the_books(hall: Hall):
    order = await hall.place()
    await hall.client.get_workflow_handle(f"order/{order.id}").terminate("it has ended")
    made = await hall.teiki.payments.credit(order.id, 1)
    assert made.status == "returned"
    await becomes(hall, order, (1000, 1000, "refunded"))
    await hall.books_agree(order, 0)
    told = await hall.desk.house.rows(
        "SELECT data FROM history WHERE subject_id = %s AND kind = 'status' AND data->>'reason' = 'credited'",
        order.id,
    )
    assert len(told) == 1


async def test_block_all_blocks_the_customer(hall: Hall):
    tenant = await hall.desk.house.tenant(token="tok_ok")
    hall_of = Hall(hall.teiki, hall.client, hall.desk, tenant, hall.settings, hall.url)
    order = await hall_of.place()
    made = await hall.teiki.payments.credit(order.id, 1, yen(10), block_all=True, actor="operator:desk-1")
    assert made.status == "returned"
    row = await hall.desk.house.row("SELECT blocked_at FROM customers WHERE id = %s", tenant.customer_id)
    assert row["blocked_at"] is not None


async def test_nothing_is_returned_of_what_was_never_paid(hall: Hall):
    order = await hall.place("konbini")
    await hall.slip(order)
    assert await said(hall.teiki.payments.credit(order.id, 1)) == "invalid_status"
    assert await said(hall.teiki.payments.credit(order.id, 2)) == "payment_not_found"
