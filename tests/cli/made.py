"""A subscription's read model, made by hand: each test says only what matters to it."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from db.reads.catalogue import CustomerItem, PaymentMethodItem, ProductItem
from db.reads.subscription import AttemptDetail, EventDetail, PaymentDetail, SubscriptionDetail
from domain.money import Money
from domain.terms import Terms

UTC = ZoneInfo("UTC")
YEN = Money(minor=1000, currency="JPY")


def at(text: str) -> datetime:
    """`2023-08-01T07:00` in Tokyo, as the read model has it: in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Asia/Tokyo")).astimezone(UTC)


def terms(**given: Any) -> Terms:
    return Terms.model_validate(
        {
            "amount_minor": 1000,
            "currency": "JPY",
            "period": "monthly",
            "anchor_on": date(2023, 8, 1),
            "charge_time": time(7, 0),
            "zone": "Asia/Tokyo",
            **given,
        }
    )


def attempt(number: int, sent: str, state: str = "settled", **given: Any) -> AttemptDetail:
    learned = given.pop("learned", sent)
    final = state in ("settled", "declined", "abandoned")
    return AttemptDetail.model_validate(
        {
            "key": f"key-{sent}-{number}",
            "attempt": number,
            "purpose": "charge",
            "reference": f"sub_1/1/{number}",
            "state": state,
            "payment_method_id": "pm_1",
            "amount": YEN,
            "sent_at": at(sent),
            "recorded_at": at(sent),
            "resolved_at": at(learned) if final else None,
            "decline": None,
            "gateway_code": None,
            "gateway_id": None,
            "hint": "",
            "needs_verification": False,
            **given,
        }
    )


def declined(number: int, sent: str, decline: str = "insufficient_funds", **given: Any) -> AttemptDetail:
    return attempt(number, sent, "declined", decline=decline, **given)


def payment(number: int, due: str, state: str, *attempts: AttemptDetail, **given: Any) -> PaymentDetail:
    settled = attempts[-1].resolved_at if attempts and state in ("settled", "refunded") else None
    return PaymentDetail(
        number=number,
        due_at=at(due),
        amount=given.pop("amount", YEN),
        state=state,
        settled_at=settled,
        skip_reason=given.pop("skip_reason", None),
        attempts=list(attempts),
    )


def event(
    kind: str,
    when: str,
    data: dict[str, Any],
    *,
    number: int | None = None,
    actor: str = "system",
    comment: str = "",
) -> EventDetail:
    return EventDetail(
        seq=0,
        kind=kind,
        at=at(when),
        recorded_at=at(when),
        actor=actor,
        comment=comment,
        payment=number,
        data=data,
    )


def did(
    operation: str, when: str, *, actor: str = "operator:desk-1", comment: str = "", **arguments: Any
) -> EventDetail:
    return event("operation", when, {"do": operation, "arguments": arguments}, actor=actor, comment=comment)


def moved(
    old: str, new: str, reason: str, when: str, *, number: int | None = None, actor: str = "system"
) -> EventDetail:
    return event("status", when, {"from": old, "to": new, "reason": reason}, number=number, actor=actor)


def skip(number: int, due: str, when: str, reason: str = "policy_next_cycle") -> EventDetail:
    data = {"due": at(due).isoformat(), "reason": reason}
    return event("skip", when, data, number=number, actor="operator:desk-1")


def subscription(
    *payments: PaymentDetail, history: list[EventDetail] | None = None, **given: Any
) -> SubscriptionDetail:
    agreed = given.pop("terms", terms())
    created = at("2023-08-01T07:00")
    settled = sum(payment.state == "settled" for payment in payments)
    return SubscriptionDetail.model_validate(
        {
            "id": "sub_1",
            "status": "current",
            "reason": "first_payment_succeeded",
            "customer_id": "cus_1",
            "customer_email": "a@example.com",
            "customer_name": "",
            "product_id": "prd_1",
            "product_name": "Box",
            "card_brand": "visa",
            "card_last_four": "4242",
            "amount": YEN,
            "period": agreed.period,
            "zone": agreed.zone,
            "next_kind": None,
            "next_at": None,
            "next_amount_minor": None,
            "failing": False,
            "has_unknown_payment": False,
            "charges": settled,
            "charged": Money(minor=1000 * settled, currency="JPY"),
            "cancel_at": None,
            "created_at": created,
            "order_id": None,
            "terms": agreed,
            "metadata": {},
            "updated_at": created + timedelta(days=1),
            "customer": CustomerItem(
                id="cus_1", email="a@example.com", name="", blocked_at=None, created_at=created
            ),
            "product": ProductItem(id="prd_1", name="Box", price=None, created_at=created),
            "payment_method": PaymentMethodItem(
                id="pm_1",
                customer_id="cus_1",
                kind="card",
                brand="visa",
                last_four="4242",
                expires_month=12,
                expires_year=2030,
                blocked_at=None,
                created_at=created,
            ),
            "payments": list(payments),
            "history": sorted(history or [], key=lambda one: one.at),
            **given,
        }
    )
