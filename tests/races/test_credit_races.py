"""Credits on a real server: what goes back, what is left, and who hears of it (spec: customers.md §3)."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from db.reads.payments import PaymentFilter
from domain.errors import ErrorCode, TeikiError
from domain.money import Money
from domain.notices import GatewayNotice, workflow_concerned
from domain.order_terms import OrderSpec
from domain.terms import SubscriptionSpec
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


# ---------------------------------------------------------------------- doubts, and a person


async def test_while_its_outcome_is_unknown_its_part_is_nobody_elses_and_the_webhook_brings_the_answer(
    hall: Hall,
):
    order = await hall.place()
    of_ours = {"reference_prefix": order.id}
    await hall.desk.remote.faults(
        {"fault": "drop_after", "route": "refund"} | of_ours,
        {"fault": "error_before", "route": "lookup"} | of_ours,
    )
    try:
        made = await hall.teiki.payments.credit(order.id, 1, yen(600))
        assert (made.status, made.attempt_state, made.balance) == ("open", "unknown", yen(400))
        assert await said(hall.teiki.payments.credit(order.id, 1, yen(401))) == "credit_exceeds_balance"
        assert await order.refund_amount() == yen(400)
    finally:
        await hall.desk.remote.faults()
    reference = f"{order.id}/1/credit/{made.id}"
    notice = GatewayNotice(gateway_id="", reference=reference)
    await hall.teiki.engine.notify(workflow_concerned(reference), "gateway_notified", notice)

    async def returned() -> bool:
        return (await hall.teiki.credits.show(made.id)).status == "returned"

    await hall.eventually(returned)
    await becomes(hall, order, (1000, 600, "payment_completed"))
    await hall.books_agree(order, 400)


async def test_a_refused_remittance_waits_for_a_person_and_its_word_frees_what_it_reserved(hall: Hall):
    order = await hall.place("konbini")
    slip = await hall.slip(order)
    await hall.pay(slip)
    await order.notify_slip(1, slip)
    await becomes(hall, order, (1000, 0, "payment_completed"))
    assert await said(hall.teiki.payments.credit(order.id, 1, yen(300))) == "partial_refund_not_supported"
    made = await hall.teiki.payments.credit(order.id, 1, bank_account="tok_bank_wrong")
    assert (made.status, made.attempt_state) == ("open", "attention")
    (waiting,) = [one for one in (await hall.teiki.attention.list()).attempts if one.object_id == order.id]
    assert waiting.credit_id == made.id
    again = await hall.teiki.attention.settle(waiting.reference, "again", comment="a typing error")
    assert again.status == "open"

    async def waits() -> list:
        found = (await hall.teiki.attention.list()).attempts
        return [one for one in found if one.object_id == order.id and one.reference.endswith("/2")]

    (second,) = await hall.eventually(waits)
    failed = await hall.teiki.attention.settle(second.reference, "not_returned", comment="paid in cash")
    assert (failed.status, failed.reason, failed.balance) == ("failed", "not_returned", yen(1000))
    await hall.books_agree(order, 1000)
    assert await hall.desk.fees(order.id) == 500, "each request for a remittance has its fee"
    done = await hall.teiki.payments.credit(order.id, 1, bank_account="tok_bank")
    assert done.status == "returned"
    await becomes(hall, order, (1000, 1000, "refunded"))
    await hall.books_agree(order, 0)


# ---------------------------------------------------------------------- subscriptions


async def subscribed(hall: Hall, *, token: str = "tok_ok", currency: str = "JPY", minor: int = 1000):
    details = await hall.desk.gateway.token_details(token)
    tenant = await hall.desk.house.tenant(token=token, kind=details.kind)
    spec = SubscriptionSpec(
        customer_id=tenant.customer_id,
        product_id=tenant.product_id,
        payment_method_id=tenant.card_id,
        period="monthly",
        amount=Money(minor=minor, currency=currency),
    )
    subscription = await hall.teiki.subscriptions.create(spec)

    async def paid() -> bool:
        return bool((await hall.teiki.payments.list(PaymentFilter(object_id=subscription.id))).items)

    await hall.eventually(paid)
    return subscription


@pytest.mark.parametrize("has_ended", [False, True])
@pytest.mark.parametrize(("currency", "minor"), [("JPY", 1000), ("USD", 1050), ("KWD", 10_500)])
async def test_a_payment_of_a_subscription_goes_back_also_after_its_end(hall, currency, minor, has_ended):
    subscription = await subscribed(hall, currency=currency, minor=minor)
    if has_ended:
        await subscription.cancel()
    part = await hall.teiki.payments.credit(subscription.id, 1, Money(minor=1, currency=currency))
    assert (part.status, part.order_id, part.balance.minor) == ("returned", None, minor - 1)
    whole = await hall.teiki.payments.credit(subscription.id, 1)
    assert (whole.amount.minor, whole.balance.minor) == (minor - 1, 0)
    (payment,) = (await hall.teiki.payments.list(PaymentFilter(object_id=subscription.id))).items
    assert payment.state == "refunded"
    assert await hall.desk.books(subscription.id) == (0, 0)


async def test_a_part_of_a_sepa_payment_needs_the_risk_to_be_accepted(hall):
    subscription = await subscribed(hall, token="tok_sepa", currency="EUR")
    part = Money(minor=100, currency="EUR")
    assert await said(hall.teiki.payments.credit(subscription.id, 1, part)) == "risk_not_accepted"
    made = await hall.teiki.payments.credit(subscription.id, 1, part, accept_risk=True)
    assert made.status == "returned"
    assert await hall.desk.books(subscription.id) == (900, 900)


async def test_a_credit_of_a_recurring_orders_payment_is_told_to_the_order(hall):
    product = await hall.desk.product(sales_method="recurring")
    spec = OrderSpec.model_validate(
        {
            "customer_id": hall.tenant.customer_id,
            "product_id": product,
            "pay": "recurring",
            "payment_method_id": hall.tenant.card_id,
            "subscription": {"period": "monthly"},
        }
    )
    order = await hall.teiki.orders.place(spec)
    await becomes(hall, order, (1000, 0, "recurring_payment"))
    made = await hall.teiki.payments.credit(order.id, 1, yen(400))
    assert (made.order_id, made.object_id) == (order.id, f"sub_{order.id.removeprefix('ord_')}")
    await becomes(hall, order, (1000, 400, "recurring_payment"))
    assert await order.refund_amount() == yen(600)
    await order.cancel()
    await becomes(hall, order, (1000, 1000, "refunded"))
    assert await hall.desk.books(made.object_id) == (0, 0)


async def test_both_books_agree_after_all_of_it(hall):
    """Everything that this module moved: accounts and currencies, as `teiki doctor --ledger` compares them."""
    book = await hall.desk.remote.ledger()
    ours = await hall.desk.house.rows(
        "SELECT currency, sum(CASE WHEN debit_account = 'gateway_receivable' THEN amount_minor"
        " WHEN credit_account = 'gateway_receivable' THEN -amount_minor ELSE 0 END)::bigint AS minor"
        " FROM ledger GROUP BY currency"
    )
    assert {row["currency"]: int(row["minor"]) for row in ours} == {
        currency: sums["merchant_receivable"] for currency, sums in book["accounts"].items()
    }
