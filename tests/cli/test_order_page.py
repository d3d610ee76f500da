"""The page of an order: what is told, what is left out, and in whose time."""

from __future__ import annotations

import pytest
from rich.console import Console

from db.reads.attention import WaitingAttempt
from db.reads.catalogue import CustomerItem, ProductItem
from db.reads.deposits import DepositItem
from db.reads.order import OrderDetail, OrderEvent
from db.reads.order_payments import PaymentEntry
from db.reads.permissions import PermissionItem
from domain.order_steps import StepKind
from starter.cli import order_page
from starter.order_wording import attention_advice, event_words, next_sentence, shows_usage_period
from tests.cli.made import at

YEN = {"minor": 3500, "currency": "JPY"}
NOW = at("2026-01-05T10:00")


def permission(**given) -> PermissionItem:
    row = {
        "id": "per_1",
        "order_id": "ord_1",
        "order_number": "20260105-0000001",
        "customer_id": "cus_1",
        "customer_email": "a@example.com",
        "customer_name": "",
        "product_id": "prd_1",
        "product_name": "Live replay",
        "status": "active",
        "reason": "paid",
        "acquisition": "purchase",
        "acquired_at": NOW,
        "starts_at": NOW,
        "ends_at": None,
        "used_at": None,
        "used_by": None,
        "membership_number": None,
        "identification": {},
        "created_at": NOW,
    }
    return PermissionItem.model_validate(row | given)


def slip(**given) -> DepositItem:
    row = {
        "id": "kon_1",
        "order_id": "ord_1",
        "number": 1,
        "status": "issued",
        "reason": "issued",
        "store": "family_mart",
        "customer_name": "Mei [bold]",
        "phone": "0312345678",
        "payment_number": "12345",
        "confirmation_number": "678901",
        "gateway_id": "kb_1",
        "amount": YEN,
        "deadline_at": at("2026-01-08T23:59:59"),
        "final_at": at("2026-01-09T00:29:59"),
        "paid_at": None,
        "created_at": NOW,
    }
    return DepositItem.model_validate(row | given)


def order(
    *, kind: str = "digital", pay: str = "card", usage_period: str | None = None, **given
) -> OrderDetail:
    row = {
        "id": "ord_1",
        "number": "20260105-0000001",
        "created_at": NOW,
        "zone": "Europe/Berlin",
        "product_type": kind,
        "product_id": "prd_1",
        "product_name": "Live replay",
        "options": ["Blue"],
        "status": "complete",
        "reason": "paid",
        "payment_status": "payment_completed",
        "payments": 1,
        "expires_on": None,
        "pay": pay,
        "amount": None if pay == "none" else YEN,
        "customer_id": "cus_1",
        "customer_email": "a@example.com",
        "customer_name": "",
        "notes": 0,
        "latest_note": "",
        "terms": {
            "pay": pay,
            "product_type": kind,
            "product_name": "Live replay",
            "usage_period": usage_period,
        },
        "paid_minor": 3500,
        "refunded_minor": 0,
        "completed_at": NOW,
        "confirmed_at": None,
        "ends_at": None,
        "next_kind": None,
        "next_at": None,
        "next_payment_at": None,
        "subscription_id": None,
        "custom_fields": {"size": "M [red]"},
        "metadata": {},
        "updated_at": NOW,
        "customer": CustomerItem(id="cus_1", email="a@example.com", name="", blocked_at=None, created_at=NOW),
        "product": ProductItem(id="prd_1", name="Live replay", price=None, created_at=NOW),
        "permission": permission(),
        "deposits": [],
        "payment_history": [],
        "points": {"expected": 0, "earned": 0, "taken_back": 0},
        "refunds": [],
        "fees": [],
        "order_notes": [],
        "history": [],
    }
    return OrderDetail.model_validate(row | given)


def paid(**given) -> PaymentEntry:
    row = {
        "category": "refund_pending",
        "pay": "konbini",
        "payment_number": 1,
        "price": YEN,
        "requested_at": NOW,
    }
    return PaymentEntry.model_validate(row | given)


def page(detail: OrderDetail) -> str:
    console = Console(width=200, no_color=True)
    with console.capture() as captured:
        order_page.order(console, detail)
    return captured.get()


@pytest.mark.parametrize(
    ("kind", "pay", "period", "shown"),
    [
        ("subscription_voucher", "recurring", None, True),
        ("membership", "card", None, True),
        ("membership", "recurring", None, True),
        ("ticket", "card", None, True),
        ("digital", "konbini", None, True),
        ("sponsorship", "konbini", None, True),
        ("digital", "card", "P30D", True),
        ("digital", "card", None, False),
        ("sponsorship", "recurring", None, False),
        ("sponsorship", "recurring", "P30D", False),
    ],
)
def test_the_usage_period_is_told_of_what_has_one(kind, pay, period, shown):
    detail = order(kind=kind, pay=pay, usage_period=period)
    assert shows_usage_period(detail) is shown
    assert ("usage period" in page(detail)) is shown


def test_words_from_outside_are_no_markup_and_nothing_known_is_a_dash():
    text = page(order(deposits=[slip()], pay="konbini"))
    assert "M [red]" in text
    assert [line.split() for line in text.splitlines() if line.startswith("identification")] == [
        ["identification", "-"]
    ]


def test_a_slip_is_told_in_japans_time_whatever_the_merchants():
    detail = order(status="in_process", payment_status="payment_pending", pay="konbini", deposits=[slip()])
    assert next_sentence(detail) == (
        "It can be paid until 2026-01-08 23:59:59 Asia/Tokyo; a slip that a kiosk printed in time until "
        "2026-01-09 00:29:59 Asia/Tokyo."
    )
    text = page(detail.model_copy(update={"permission": None}))
    assert "FamilyMart" in text
    assert "2026-01-08 23:59:59" in text
    assert "2026-01-05 02:00 Europe/Berlin" in text


@pytest.mark.parametrize("kind", [kind for kind in StepKind if kind is not StepKind.VERIFY])
def test_everything_an_order_does_by_itself_has_a_sentence(kind):
    sentence = next_sentence(order(next_kind=kind.value, next_at=NOW))
    assert sentence.endswith((".", ")."))
    assert (
        kind in (StepKind.ATTENTION, StepKind.SLIP, StepKind.SUBSCRIPTION) or "2026-01-05 02:00" in sentence
    )


def test_a_recurring_order_names_its_next_payment_until_it_is_over():
    running = order(pay="recurring", kind="membership", next_payment_at=NOW)
    assert next_sentence(running).startswith("The next payment is on 2026-01-05 02:00 Europe/Berlin")
    assert next_sentence(running.model_copy(update={"status": "canceled"})) == "Nothing happens any more."
    assert next_sentence(order()) == "Nothing happens by itself."


def test_what_waits_for_a_person_comes_before_everything_else():
    refused = paid(is_return=True, waits_for_a_person=True)
    detail = order(
        pay="konbini", status="canceled", payment_history=[refused], next_kind="refund", next_at=NOW
    )
    assert "--bank-account" in next_sentence(detail)
    assert "waits for a person" in page(detail)
    unknown = order(payment_history=[paid(category="payment_pending", waits_for_a_person=True)])
    assert "a person must settle it" in next_sentence(unknown)


@pytest.mark.parametrize(
    ("purpose", "credit_id", "hint", "told"),
    [
        ("refund", None, "remittance_failed", "teiki order cancel ord_1 --bank-account TOKEN"),
        ("refund", "crd_1", "remittance_failed", "teiki credit ord_1/1 --bank-account TOKEN"),
        ("twin", None, "remittance_failed", "Say --as again"),
        ("refund", None, "refund_exceeds_charge", ""),
        ("charge", None, "remittance_failed", ""),
    ],
)
def test_a_refused_remittance_comes_with_advice(purpose, credit_id, hint, told):
    waiting = WaitingAttempt.model_validate(
        {
            "reference": "ord_1/1/refund",
            "purpose": purpose,
            "object_id": "ord_1",
            "number": 1,
            "attempt": 1,
            "returns": None,
            "credit_id": credit_id,
            "amount": YEN,
            "since": NOW,
            "hint": hint,
        }
    )
    advice = attention_advice(waiting)
    assert told in advice if told else advice == ""


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        (
            "payment",
            {"outcome": "succeeded", "amount_minor": 3500, "currency": "JPY"},
            "payment 1: succeeded, 3,500 JPY",
        ),
        (
            "refund",
            {"outcome": "failed", "reason": "remittance_failed"},
            "refund 1: failed, remittance failed",
        ),
        ("incident", {"kind": "late_deposit", "outcome": "opened"}, "incident opened: late deposit"),
    ],
)
def test_money_in_history_says_how_much_and_what_became_of_it(kind, data, words):
    event = OrderEvent(
        seq=1,
        at=NOW,
        actor="system",
        tab="claim",
        what=kind,
        before=None,
        after=None,
        payment=1,
        comment="",
        kind=kind,
        data=data,
    )
    assert event_words(event, "Asia/Tokyo") == words
