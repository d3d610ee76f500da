"""The words people read about an order: its status and why, what happens next, payment, permission, history.

Pure: everything is said from the read model (spec: orders.md §§2–9).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from domain.deposit import ENDED as ENDED_DEPOSIT
from domain.deposit import DepositStatus
from domain.identifiers import credit_of_reference
from domain.money import Money
from domain.order_state import FINAL, OrderStatus, PaymentStatus
from domain.order_terms import JAPAN, Pay
from domain.permission import PermissionStatus
from domain.product import ProductType
from starter.wording import local, local_and_utc

if TYPE_CHECKING:
    from db.reads.attention import WaitingAttempt
    from db.reads.deposits import DepositItem
    from db.reads.order import OrderDetail, OrderEvent
    from db.reads.orders import OrderItem

_STATUSES: Final = {
    OrderStatus.IN_PROCESS: "It is placed and not paid yet{why}.",
    OrderStatus.COMPLETE: "It is complete{why}. The customer can cancel it until the purchase is confirmed.",
    OrderStatus.PURCHASE_CONFIRMED: "The purchase is confirmed{why}. Only an administrator can cancel it now.",
    OrderStatus.EXPIRED: "Its time is over{why}.",
    OrderStatus.CANCELED: "It was canceled for good{why}.",
}

_REASONS: Final = {
    "paid": "it was paid",
    "preliminary_notice": "the store announced the payment",
    "preliminary_canceled": "the store took its announcement of the payment back",
    "first_payment_succeeded": "the first payment succeeded",
    "token_authenticated": "a token proved the right to it",
    "used": "the content was used",
    "seven_days_passed": "seven days have passed since it was complete",
    "usage_period_ended": "the usage period ended",
    "canceled_by_customer": "the customer canceled it",
    "canceled_by_admin": "an administrator canceled it",
    "payment_failed": "the payment was refused",
    "deposit_expired": "the deposit was not paid in time",
    "subscription_ended": "its subscription ended before the first payment",
    "subscription_canceled": "its subscription was canceled",
    "another_slip": "another slip was asked for",
    "paid_on_an_earlier_slip": "an earlier slip was paid",
    "access_processed": "access was processed",
    "not_paid": "the paid period is over and the next payment has not come",
    "paid_again": "it is paid again",
}

_NEXT: Final = {
    "charge": "The card is charged on {at}.",
    "ask": "The payment's outcome is not known yet: the payment company is asked on {at}.",
    "attention": "The payment's outcome could not be found out: a person must settle it (teiki attention list).",
    "slip": "Its slip is being seen to.",
    "subscription": "Its subscription is being seen to.",
    "confirm": "On {at} the purchase is confirmed, unless it is used or canceled before.",
    "expire": "Its usage period ends on {at}.",
    "lapse": "A payment is outstanding: access ends on {at} unless it is paid before.",
    "refund": "Money is going back; the payment company is asked on {at}.",
}

_WAITING_RETURN: Final = (
    "The payment company refused to return money. Ask the customer for a bank account and cancel again with "
    "--bank-account, or see `teiki attention list`."
)
_WAITING_MONEY: Final = "An outcome could not be found out: a person must settle it (`teiki attention list`)."

_REMITTANCE_FAILED: Final = "remittance_failed"

_SLIPS: Final = {
    DepositStatus.REQUESTED: "The payment company is asked for the slip.",
    DepositStatus.ISSUED: "It can be paid until {deadline}; a slip that a kiosk printed in time until {final}.",
    DepositStatus.PRELIMINARY: "A store has announced the payment; the money has not arrived yet.",
    DepositStatus.PAID: "It was paid on {paid}.",
    DepositStatus.EXPIRED: "It was not paid in time; what is paid on it now goes back.",
    DepositStatus.CANCELED: "It was voided: {reason}. What is paid on it now goes back.",
    DepositStatus.FAILED: "The payment company did not issue it.",
}

_STORES: Final = {
    "seven_eleven": "7-Eleven",
    "family_mart": "FamilyMart",
    "lawson": "Lawson",
    "ministop": "Ministop",
    "seicomart": "Seicomart",
    "daily_yamazaki": "Daily Yamazaki",
}


def status_sentence(status: OrderStatus, reason: str) -> str:
    """The status, why, and who may cancel it."""
    return _STATUSES[status].format(why="" if reason == "placed" else f": {reason_words(reason)}")


def reason_words(reason: str) -> str:
    return _REASONS.get(reason, reason.replace("_", " "))


def next_sentence(detail: OrderDetail) -> str:
    """What the order does next by itself, and when."""
    if sentence := _waits_for_a_person(detail):
        return sentence
    if detail.next_kind is not None and detail.next_at is not None:
        words = _NEXT[detail.next_kind].format(at=local_and_utc(detail.next_at, detail.zone))
        return f"{words} {_next_payment(detail)}".rstrip()
    open_slip = next((slip for slip in detail.deposits[-1:] if slip.status not in ENDED_DEPOSIT), None)
    if open_slip is not None and not is_over(detail):
        return slip_sentence(open_slip)
    at_rest = "Nothing happens any more." if is_over(detail) else "Nothing happens by itself."
    return _next_payment(detail) or at_rest


def is_over(detail: OrderDetail) -> bool:
    """It is expired or canceled."""
    return detail.status in FINAL


def _next_payment(detail: OrderDetail) -> str:
    if detail.next_payment_at is None or is_over(detail):
        return ""
    return f"The next payment is on {local_and_utc(detail.next_payment_at, detail.zone)}."


def _waits_for_a_person(detail: OrderDetail) -> str:
    waiting = [entry for entry in detail.payment_history if entry.waits_for_a_person]
    if not waiting:
        return ""
    is_remittance = detail.pay is Pay.KONBINI and all(
        entry.is_return and credit_of_reference(entry.transaction_id or "") is None for entry in waiting
    )
    return _WAITING_RETURN if is_remittance else _WAITING_MONEY


def attention_advice(attempt: WaitingAttempt) -> str:
    """What a person does about a remittance that was refused; nothing for what is settled by looking it up."""
    if attempt.purpose == "charge" or attempt.hint != _REMITTANCE_FAILED:
        return ""
    if attempt.purpose == "twin":
        return (
            f"{attempt.reference}: paid twice or too late, and it could not be remitted. Say --as again to have it "
            "tried once more (with another fee), or return it by hand and say --as not_returned."
        )
    if attempt.credit_id is not None:
        return (
            f"{attempt.reference}: it could not be remitted. Say --as not_returned; then ask the customer for another "
            f"bank account: teiki credit {attempt.object_id}/{attempt.number} --bank-account TOKEN (with another fee)."
        )
    return (
        f"{attempt.reference}: it could not be remitted. Ask the customer for another bank account, then: "
        f"teiki order cancel {attempt.object_id} --bank-account TOKEN (another request, with another fee)."
    )


def slip_sentence(slip: DepositItem) -> str:
    """Until when it can be paid, or what became of it; in Japan's time of day."""
    return _SLIPS[slip.status].format(
        deadline=local(slip.deadline_at, JAPAN),
        final=local(slip.final_at, JAPAN),
        paid=local(slip.paid_at, JAPAN) if slip.paid_at else "",
        reason=reason_words(slip.reason),
    )


def store_words(store: str) -> str:
    return _STORES.get(store, store)


def payment_words(item: OrderItem) -> str:
    """The payment status with its count ("3-times"), or until when a canceled subscription is good."""
    if item.payment_status is PaymentStatus.RECURRING_PAYMENT:
        return f"recurring_payment ({item.payments}-times)"
    if item.payment_status is PaymentStatus.RECURRING_PAYMENT_CANCELED:
        until = f", expires {item.expires_on}" if item.expires_on else ""
        return f"refunded (recurring payment canceled{until})"
    return item.payment_status.value


def shows_usage_period(detail: OrderDetail) -> bool:
    """Whether people are told from when until when the permission holds (spec: orders.md §6).

    They are for subscription vouchers, memberships, tickets and Konbini orders, and wherever the product names a
    period; never for a recurring sponsorship.
    """
    kind = detail.product_type
    if kind is ProductType.SPONSORSHIP and detail.pay is Pay.RECURRING:
        return False
    always = (ProductType.SUBSCRIPTION_VOUCHER, ProductType.MEMBERSHIP, ProductType.TICKET)
    return kind in always or detail.pay is Pay.KONBINI or detail.terms.usage_period is not None


def usage_words(detail: OrderDetail) -> str:
    """From when until when."""
    permission = detail.permission
    assert permission is not None
    starts = local(permission.starts_at, detail.zone)
    if permission.ends_at is not None:
        return f"{starts} to {local(permission.ends_at, detail.zone)}"
    return f"{starts}, while paid" if detail.pay is Pay.RECURRING else f"{starts}, without end"


def identification_words(detail: OrderDetail) -> str:
    """What is known of the holder; "-" when nothing is."""
    permission = detail.permission
    assert permission is not None
    return ", ".join(f"{name}: {value}" for name, value in permission.identification.items()) or "-"


def access_words(detail: OrderDetail) -> str:
    """How a ticket is used, or who used it."""
    permission = detail.permission
    assert permission is not None
    if permission.used_at is not None:
        return f"used on {local_and_utc(permission.used_at, detail.zone)} by {permission.used_by}"
    if permission.status is PermissionStatus.ACTIVE:
        return f"at the door: teiki ticket process-access {detail.number}"
    return "none"


def event_words(event: OrderEvent, zone: str) -> str:
    """One line of history, with what it changed."""
    if event.kind in ("payment", "refund", "fee"):
        return _money_words(event)
    if event.kind == "incident":
        return f"incident {event.data.get('outcome', '')}: {event.data.get('kind', '')}".replace("_", " ")
    what = event.what.replace("_", " ") if event.kind != "operation" else event.what
    before, after = _value(event.before, zone), _value(event.after, zone)
    if before and after:
        return f"{what}: {before} → {after}"
    return f"{what}: {after or before}" if after or before else what


def _money_words(event: OrderEvent) -> str:
    """`payment 1: succeeded, 3,500 JPY`; of a refusal also why."""
    said = event.data
    moved = "amount_minor" in said and "currency" in said
    amount = str(Money(minor=said["amount_minor"], currency=said["currency"])) if moved else ""
    told = [str(said.get(name) or "").replace("_", " ") for name in ("outcome", "decline", "reason")]
    return f"{event.kind} {event.payment}: " + ", ".join(one for one in (*told, amount) if one)


def _value(value: Any, zone: str) -> str:
    if isinstance(value, dict):
        if value.keys() == {"minor", "currency"}:
            return str(Money(**value))
        told = [(name, _value(one, zone)) for name, one in value.items()]
        return ", ".join(f"{name}={one}" for name, one in told if one)
    if isinstance(value, list):
        return ", ".join(_value(one, zone) for one in value)
    if isinstance(value, datetime):
        return local(value, zone)
    return "" if value is None else str(value)
