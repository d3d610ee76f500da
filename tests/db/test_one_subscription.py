"""One subscription shown whole, and its timeline in the order of events."""

from datetime import timedelta

import pytest

from db.attempts import (
    abandon_attempt,
    begin_refund,
    decline_attempt,
    note_attempt,
    settle_attempt,
    settle_refund,
)
from db.reads.subscription import show_subscription
from db.reads.timeline import timeline
from db.subscriptions import record
from domain.errors import ErrorCode, TeikiError
from domain.identifiers import refund_reference
from domain.resume import Skipped
from tests.db.house import NOW, House, charge_key, happening, refund_key, transition, unique


@pytest.fixture(scope="module")
async def lived(db):
    """Paid once, failed and retried, suspended, resumed with a skip, one in doubt, the first returned."""
    house = House(db)
    order = await house.subscription(metadata={"plan": "gold"})
    sub = order.subscription_id

    def key(number, attempt):
        return charge_key(sub, number, attempt)

    await house.begin(order, 1, at=NOW)
    await settle_attempt(
        db,
        key=key(1, 1),
        gateway_id=unique("ch"),
        at=NOW,
        row={"status": "current"},
        moves=[transition("unverified", "current", "first_payment_succeeded")],
    )
    second = NOW + timedelta(days=28)
    await house.begin(order, 2, at=second)
    # The outcome is learned an hour later; the charge still stands where it was sent.
    await note_attempt(db, key=key(2, 1), state="unknown", hint="timeout")
    learned = second + timedelta(hours=1)
    await decline_attempt(db, key=key(2, 1), decline="insufficient_funds", gateway_code="51", at=learned)
    await record(
        db,
        happening(
            order,
            at=learned,
            actor="system",
            payment=2,
            row={"status": "unpaid", "failing": True},
            moves=[transition("current", "unpaid", "payment_failed")],
        ),
        event_key=unique("event"),
    )
    await house.begin(order, 2, 2, at=second + timedelta(days=1))
    await note_attempt(db, key=key(2, 2), state="unsent")
    await abandon_attempt(db, key=key(2, 2), at=second + timedelta(days=1), decline="customer_blocked")
    await record(
        db,
        happening(
            order,
            at=second + timedelta(days=2),
            operation="resume",
            comment="asked by phone",
            arguments={"policy": "next_cycle"},
            row={"status": "current", "failing": False},
            moves=[transition("suspended", "current", "resumed")],
            skipped=[Skipped(first=2, last=3, reason="next_cycle")],
        ),
        event_key=unique("event"),
    )
    await house.begin(order, 4, at=second + timedelta(days=60))
    await note_attempt(db, key=key(4, 1), state="unknown", hint="reset")
    refund = refund_key(sub, 1)
    back = second + timedelta(days=61)
    await begin_refund(db, key=refund, reference=refund_reference(sub, 1), object_id=sub, number=1, at=back)
    await settle_refund(db, key=refund, gateway_id=unique("re"), at=back, reason="canceled_meanwhile")
    return order


async def test_the_timeline_tells_it_in_order(db, lived):
    entries = await timeline(db, lived.subscription_id)
    told = []
    for entry in entries:
        shown = entry.model_dump(mode="json", by_alias=True, exclude_none=True)
        what = shown["type"]
        told.append((what, shown.get("payment"), shown.get("outcome") or shown.get("to") or shown.get("do")))
    assert told == [
        ("charge", 1, "succeeded"),
        ("status", 1, "current"),
        ("charge", 2, "failed"),
        ("status", 2, "unpaid"),
        ("operation", None, "resume"),
        ("status", None, "current"),
        ("skip", 2, None),
        ("skip", 3, None),
        ("charge", 4, "pending"),
        ("refund", 1, "succeeded"),
    ]
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)


async def test_an_entry_has_the_words_of_the_interfaces_page(db, lived):
    charge, status, declined, *_ = await timeline(db, lived.subscription_id)
    assert charge.model_dump(mode="json", exclude_none=True) == {
        "at": "2026-01-31T22:00:00Z",
        "type": "charge",
        "payment": 1,
        "attempt": 1,
        "due": "2026-01-31T22:00:00Z",
        "outcome": "succeeded",
        "amount": {"minor": 1000, "currency": "JPY"},
    }
    assert status.model_dump(mode="json", by_alias=True) == {
        "at": "2026-01-31T22:00:00Z",
        "type": "status",
        "object": "subscription",
        "from": "unverified",
        "to": "current",
        "reason": "first_payment_succeeded",
        "payment": 1,
    }
    assert (declined.at, declined.decline) == (NOW + timedelta(days=28), "insufficient_funds")


async def test_the_creation_is_told_when_asked_for(db, lived):
    first, *rest = await timeline(db, lived.subscription_id, creation=True)
    assert (first.type, first.do, first.actor) == ("operation", "create", "operator:desk")
    assert rest == await timeline(db, lived.subscription_id)
    assert await timeline(db, "sub_none") == []


async def test_it_is_shown_with_all_that_belongs_to_it(db, lived):
    shown = await show_subscription(db, lived.subscription_id)
    assert (shown.status, shown.metadata, shown.terms) == ("current", {"plan": "gold"}, lived.terms)
    assert (shown.customer.id, shown.product.id) == (lived.spec.customer_id, lived.spec.product_id)
    assert (shown.card_brand, shown.payment_method.last_four) == ("visa", "4242")
    states = [(payment.number, payment.state, payment.skip_reason) for payment in shown.payments]
    assert states == [
        (1, "refunded", None),
        (2, "skipped", "next_cycle"),
        (3, "skipped", "next_cycle"),
        (4, "collecting", None),
    ]
    assert [payment.number for payment in shown.skipped] == [2, 3]
    first, second, _, fourth = shown.payments
    assert [(a.purpose, a.state) for a in first.attempts] == [("charge", "settled"), ("refund", "settled")]
    assert [(a.attempt, a.state, a.decline) for a in second.attempts] == [
        (1, "declined", "insufficient_funds"),
        (2, "abandoned", "customer_blocked"),
    ]
    assert (fourth.attempts[0].hint, shown.has_unknown_payment) == ("reset", True)
    assert [(o.data["do"], o.actor, o.comment) for o in shown.operations] == [
        ("create", "operator:desk", ""),
        ("resume", "operator:desk", "asked by phone"),
    ]
    assert (shown.next_kind, shown.next_at) == ("payment", lived.row.next_at)
    assert "tok_" not in shown.model_dump_json()


async def test_one_that_does_not_exist_is_not_found(db):
    with pytest.raises(TeikiError) as caught:
        await show_subscription(db, "sub_none")
    assert caught.value.code is ErrorCode.SUBSCRIPTION_NOT_FOUND
