"""An order's page shows everything about it, of each kind of order, from one snapshot."""

from datetime import date, timedelta

import pytest

from db.engine import Database
from db.reads.order import show_order
from domain.errors import ErrorCode, TeikiError
from domain.order_state import PaymentStatus
from domain.order_terms import Pay
from tests.db.house import NOW, unique
from tests.db.order_made import Made


@pytest.fixture
def made(db: Database) -> Made:
    return Made(db)


async def test_a_card_order_in_installments_shows_its_payment_and_its_permission(made):
    tenant = await made.house.tenant(email="Mei@Example.com", name="Mei")
    order_id = await made.order(tenant, installments=3)
    await made.movement(order_id, tenant.card_id)
    await made.insert(
        "permissions",
        id=unique("per"),
        order_id=order_id,
        order_day="20260201",
        customer_id=tenant.customer_id,
        product_id=tenant.product_id,
        status="active",
        reason="paid",
        acquisition="purchase",
        acquired_at=NOW,
        starts_at=NOW,
        membership_number=1,
        identification={"name": "Mei"},
        created_at=NOW,
        updated_at=NOW,
    )
    detail = await show_order(made.db, order_id)
    (payment,) = detail.payment_history
    assert (payment.category, payment.pay, payment.installments) == ("payment_complete", "card", 3)
    assert payment.transaction_id == f"{order_id}/1/charge/1"
    assert payment.approval_number is not None
    assert str(payment.price) == "3,500 JPY"
    assert payment.approved_at == NOW + timedelta(seconds=2)
    assert detail.permission is not None
    assert (detail.permission.membership_number, detail.permission.identification) == (1, {"name": "Mei"})
    assert (detail.customer.email, detail.product.name) == ("Mei@Example.com", "Live replay")
    assert detail.terms.installments == 3
    assert (detail.points.expected, detail.points.earned, detail.points.taken_back) == (35, 0, 0)


async def test_an_order_is_found_by_its_number_too(made):
    order_id = await made.order()
    by_id = await show_order(made.db, order_id)
    assert await show_order(made.db, by_id.number) == by_id


@pytest.mark.parametrize("name", ["ord_nothing", "", "\x00", "'--", "%", "注文"])
async def test_what_does_not_exist_is_not_found(made, name):
    with pytest.raises(TeikiError) as caught:
        await show_order(made.db, name)
    assert caught.value.code is ErrorCode.ORDER_NOT_FOUND


async def test_a_refused_card_says_why_in_the_payment_history(made):
    tenant = await made.house.tenant()
    order_id = await made.order(
        tenant,
        status="canceled",
        reason="payment_failed",
        payment_status="cancel_before_payment",
        paid_minor=0,
    )
    await made.movement(order_id, tenant.card_id, state="declined")
    (payment,) = (await show_order(made.db, order_id)).payment_history
    assert (payment.category, payment.reason, payment.approved_at) == (
        "payment_failed",
        "insufficient_funds",
        None,
    )


async def test_a_konbini_order_shows_each_slip_for_itself(made):
    tenant = await made.house.tenant()
    order_id = await made.order(tenant, pay="konbini")
    await made.slip(order_id, 1, "expired", "deposit_expired")
    await made.slip(order_id, 2, "canceled", "superseded")
    await made.slip(order_id, 3, "paid", "paid", paid_at=NOW)
    await made.movement(order_id, tenant.card_id, 1, state="abandoned")
    await made.movement(order_id, tenant.card_id, 3, at=NOW + timedelta(minutes=1))
    detail = await show_order(made.db, order_id)
    shown = {entry.payment_number: entry for entry in detail.payment_history}
    assert [(shown[n].category, shown[n].reason) for n in (1, 2, 3)] == [
        ("payment_deadline_expired", "deposit_expired"),
        ("cancel_before_payment", "superseded"),
        ("payment_complete", None),
    ]
    assert shown[3].slip_number == "773"
    assert [slip.number for slip in detail.deposits] == [1, 2, 3]


async def test_a_slip_that_waits_is_a_pending_payment(made):
    order_id = await made.order(
        pay="konbini", status="in_process", payment_status="payment_pending", paid_minor=0
    )
    await made.slip(order_id, 1, "issued", "issued")
    (payment,) = (await show_order(made.db, order_id)).payment_history
    assert (payment.category, payment.reason, payment.pay) == ("payment_pending", None, "konbini")


async def test_a_refund_stands_beside_its_payment_with_its_fee_and_why(made):
    tenant = await made.house.tenant()
    order_id = await made.order(
        tenant, pay="konbini", status="canceled", reason="canceled_by_admin", payment_status="refunded",
        refunded_minor=3500,
    )  # fmt: skip
    await made.slip(order_id, 1, "paid", "paid", paid_at=NOW)
    await made.movement(order_id, tenant.card_id)
    later = NOW + timedelta(days=1)
    failed = await made.movement(order_id, tenant.card_id, purpose="refund", state="declined", at=later)
    key = await made.movement(
        order_id, tenant.card_id, purpose="refund", attempt=2, at=later + timedelta(hours=1)
    )
    await made.booked(failed, "fee", 300)
    await made.booked(key, "fee", 300)
    await made.booked(key, "refund", 3500)
    await made.event(
        order_id,
        "refund",
        3,
        {"outcome": "succeeded", "amount_minor": 3500, "currency": "JPY", "reason": "canceled_by_admin"},
        number=1,
    )
    await made.event(order_id, "points", 4, {"what": "taken_back", "points": -35})
    detail = await show_order(made.db, order_id)
    assert [(entry.category, entry.reason) for entry in detail.payment_history] == [
        ("payment_complete", None),
        ("refund_failed", "insufficient_funds"),
        ("refunded", "canceled_by_admin"),
    ]
    assert [str(entry.amount) for entry in detail.fees] == ["300 JPY", "300 JPY"]
    assert [(str(entry.amount), entry.payment) for entry in detail.refunds] == [("3,500 JPY", 1)]
    assert detail.points.taken_back == 35


async def test_a_recurring_order_shows_the_payments_of_its_subscription(made):
    tenant = await made.house.tenant()
    opened = await made.house.subscription(tenant)
    following = NOW + timedelta(days=30)
    order_id = await made.order(
        tenant,
        pay="recurring",
        payment_status="recurring_payment_canceled",
        payments=2,
        expires_on=date(2026, 4, 1),
        subscription_id=opened.subscription_id,
        next_payment_at=following,
    )
    for number in (1, 2):
        await made.movement(opened.subscription_id, tenant.card_id, number, at=NOW + timedelta(days=number))
    detail = await show_order(made.db, order_id)
    assert [(entry.payment_number, entry.category) for entry in detail.payment_history] == [
        (1, "payment_complete"),
        (2, "payment_complete"),
    ]
    assert (detail.payments, detail.next_payment_at, detail.expires_on) == (2, following, date(2026, 4, 1))
    assert detail.payment_status is PaymentStatus.RECURRING_PAYMENT_CANCELED
    assert any(event.what == "create" for event in detail.tab("orders"))


async def test_token_authentication_shows_no_payment_history(made):
    order_id = await made.order(pay="none", payment_status="no_payment", payments=0, paid_minor=0)
    detail = await show_order(made.db, order_id)
    assert (detail.pay, detail.amount, detail.payment_history) == (Pay.NONE, None, [])
    assert detail.permission is None


async def test_notes_come_newest_first_and_history_is_sorted_into_tabs(made):
    order_id = await made.order(notes=2, latest_note="second")
    for minute, text in ((1, "first"), (2, "second")):
        await made.insert(
            "order_notes",
            order_id=order_id,
            at=NOW + timedelta(minutes=minute),
            author="operator:a",
            text=text,
        )
        await made.event(order_id, "note", minute, {}, actor="operator:a", comment=text)
    moved = {"object": "order", "from": "in_process", "to": "complete", "reason": "paid"}
    await made.event(order_id, "status", 3, moved, number=1)
    await made.event(order_id, "identification", 4, {"before": {"a": "1"}, "after": {"a": "2"}})
    await made.event(order_id, "operation", 5, {"do": "cancel", "arguments": {}}, actor="operator:a")
    await made.event(order_id, "fee", 6, {"amount_minor": 300, "currency": "JPY"})
    detail = await show_order(made.db, order_id)
    assert [note.text for note in detail.order_notes] == ["second", "first"]
    assert [event.what for event in detail.tab("comments")] == ["note", "note"]
    status, identification = detail.tab("orders")
    assert (status.before, status.after, status.payment) == ("in_process", "complete", 1)
    assert (identification.before, identification.after) == ({"a": "1"}, {"a": "2"})
    assert [event.what for event in detail.tab("claim")] == ["cancel", "fee"]
    assert detail.tab("shipping") == []
    assert len(detail.tab("history")) == 6
