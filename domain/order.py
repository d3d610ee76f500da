"""The order: what payments and time change (spec: orders.md §§2–8).

The functions decide, purely, and answer with the events that history keeps: changes of status (of the order, its
payment, its permission) and points. What people may do is in `order_operations`; how a slip or a subscription tells the
order of its money is `deposit_changed` and `subscription_changed` here. All of it is called in one place, serially:
that is where the races of use, cancel, payment and timer are decided.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from domain.billing_calendar import parse_zone
from domain.deposit import ENDED as ENDED_DEPOSIT
from domain.deposit import DepositStatus
from domain.identifiers import deposit_id, permission_id, subscription_of_order
from domain.order_state import (
    TRANSITIONS,
    DepositFact,
    Event,
    OrderRefund,
    OrderStatus,
    PaymentStatus,
    Slip,
    State,
    SubscriptionFact,
)
from domain.order_terms import OrderSpec, OrderTerms, Pay
from domain.permission import Acquisition, Permission, PermissionStatus
from domain.product import usage_of
from domain.subscription import FINAL as ENDED_SUBSCRIPTION
from domain.subscription import Status as SubscriptionStatus
from domain.unresolved import InFlight, Verification

# ---------------------------------------------------------------------- payments


def placed(
    order_id: str,
    spec: OrderSpec,
    terms: OrderTerms,
    *,
    number: str,
    custom_fields: dict[str, Any],
) -> State:
    """An order as it begins. A Konbini order has its first slip to be asked for."""
    slip = Slip(deposit_id=deposit_id(order_id, 1), number=1) if terms.pay is Pay.KONBINI else None
    return State(
        id=order_id,
        number=number,
        customer_id=spec.customer_id,
        product_id=spec.product_id,
        terms=terms,
        payment_status=PaymentStatus.NO_PAYMENT if terms.pay is Pay.NONE else PaymentStatus.PAYMENT_PENDING,
        permission_id=permission_id(order_id),
        slip=slip,
        slips=1 if slip else 0,
        subscription_id=subscription_of_order(order_id) if terms.pay is Pay.RECURRING else None,
        custom_fields=custom_fields,
    )


def paid(
    state: State, number: int, amount_minor: int, now: datetime, *, paid_at: datetime | None = None
) -> list[Event]:
    """The money is in the books. An order that has ended gives it back; one that is paid already as well.

    `paid_at`: when the customer paid, which is when the usage period begins; None: now.
    """
    if state.is_final or state.paid_number not in (None, number):
        state.in_flight = None
        state.paid_minor += amount_minor
        give_back(state, number, amount_minor, now, why="settled_after_the_end")
        return []
    state.paid_number, state.paid_minor, state.payments = number, amount_minor, 1
    state.in_flight = None
    if state.slip is not None and state.slip.number != number:
        drop_slip(state, "paid_on_an_earlier_slip")
    was_preliminary, state.is_preliminary = state.is_preliminary, False
    if was_preliminary:
        return []
    return _complete(state, now, "paid", payment=PaymentStatus.PAYMENT_COMPLETED, acquired_at=paid_at)


def acquired(state: State, now: datetime) -> list[Event]:
    """Token authentication: nothing is paid, the token proved the right."""
    return _complete(state, now, "token_authenticated", acquisition="token_auth")


def declined(state: State, reason: str) -> list[Event]:
    """The card said no, definitely: an order is tried once."""
    state.attempt += 1
    state.in_flight = None
    if state.is_final:
        return []
    return [
        *change_payment(state, PaymentStatus.CANCEL_BEFORE_PAYMENT, reason),
        move(state, OrderStatus.CANCELED, "payment_failed"),
    ]


def deposit_changed(state: State, fact: DepositFact, now: datetime) -> list[Event]:
    """What became of a slip; one that is not the order's current slip can only bring money that goes back."""
    is_current = state.slip is not None and state.slip.number == fact.number
    if is_current:
        assert state.slip is not None
        if state.slip.status is fact.status:
            return []  # told twice
        state.slip = state.slip.model_copy(update={"status": fact.status, "is_started": True})
    elif _is_earlier(state, fact.number) and fact.status in ENDED_DEPOSIT:
        state.earlier_slip = None
    if fact.status is DepositStatus.PAID:
        assert state.terms.price is not None
        return paid(state, fact.number, state.terms.price.minor, now, paid_at=fact.paid_at)
    return _unpaid(state, fact, now) if is_current and not state.is_final else []


def _is_earlier(state: State, number: int) -> bool:
    return state.earlier_slip is not None and state.earlier_slip.number == number


def _unpaid(state: State, fact: DepositFact, now: datetime) -> list[Event]:
    if fact.status is DepositStatus.PRELIMINARY:
        return _preliminary(state, now)
    if fact.status is DepositStatus.ISSUED:
        return _preliminary_taken_back(state, now) if state.is_preliminary else []
    if fact.status in (DepositStatus.EXPIRED, DepositStatus.FAILED):
        back = _preliminary_taken_back(state, now) if state.is_preliminary else []
        expired = fact.status is DepositStatus.EXPIRED
        payment = PaymentStatus.PAYMENT_DEADLINE_EXPIRED if expired else PaymentStatus.CANCEL_BEFORE_PAYMENT
        reason = "deposit_expired" if expired else "payment_failed"
        return [*back, *change_payment(state, payment, reason), move(state, OrderStatus.CANCELED, reason)]
    return []


def _preliminary(state: State, now: datetime) -> list[Event]:
    if not state.terms.preliminary_completes or state.status is not OrderStatus.IN_PROCESS:
        return []
    state.is_preliminary = True
    return _complete(state, now, "preliminary_notice", payment=PaymentStatus.PAYMENT_COMPLETED)


def _preliminary_taken_back(state: State, now: datetime) -> list[Event]:
    """Access ends and the order waits for its deposit again."""
    state.is_preliminary = False
    state.completed_at = state.confirmed_at = None
    return [
        *change_payment(state, PaymentStatus.PAYMENT_PENDING, "preliminary_canceled"),
        move(state, OrderStatus.IN_PROCESS, "preliminary_canceled"),
        *permit(state, PermissionStatus.REVOKED, "preliminary_canceled"),
        *take_points_back(state),
    ]


def subscription_changed(state: State, fact: SubscriptionFact, now: datetime) -> list[Event]:
    """A payment of the subscription succeeded or failed, or it ended."""
    before, state.subscription = state.subscription, fact
    if state.is_final:
        return []
    events: list[Event] = []
    if fact.charges > (before.charges if before else 0):
        state.payments, state.paid_minor = fact.charges, fact.charged_minor
        if state.status is OrderStatus.IN_PROCESS:
            events += _complete(
                state, now, "first_payment_succeeded", payment=PaymentStatus.RECURRING_PAYMENT
            )
        elif state.permission is not None and state.permission.status is PermissionStatus.EXPIRED:
            events += permit(state, PermissionStatus.ACTIVE, "paid_again")
    if fact.status not in ENDED_SUBSCRIPTION:
        return events
    if state.status is OrderStatus.IN_PROCESS:
        return [
            *events,
            *change_payment(state, PaymentStatus.CANCEL_BEFORE_PAYMENT, "subscription_ended"),
            move(state, OrderStatus.CANCELED, "subscription_ended"),
        ]
    assert state.permission is not None
    ends_at = fact.paid_until or now
    state.permission = state.permission.model_copy(update={"ends_at": ends_at})
    state.expires_on = ends_at.astimezone(parse_zone(state.terms.zone)).date()
    if fact.status is SubscriptionStatus.CANCELED:
        events += change_payment(state, PaymentStatus.RECURRING_PAYMENT_CANCELED, "subscription_canceled")
    return events


# ---------------------------------------------------------------------- time


def confirm(state: State, now: datetime, reason: str = "seven_days_passed") -> list[Event]:
    """The purchase stands: the customer can cancel no more, and the points are earned."""
    state.confirmed_at = now
    return [move(state, OrderStatus.PURCHASE_CONFIRMED, reason), *_earn_points(state)]


def expire(state: State, now: datetime) -> list[Event]:
    """The usage period is over. One that ends before the purchase was confirmed confirms it at that instant."""
    points: list[Event] = []
    if state.status is OrderStatus.COMPLETE:
        state.confirmed_at = now
        points = _earn_points(state)
    permission = state.permission
    assert permission is not None
    ended = (
        permit(state, PermissionStatus.EXPIRED, "usage_period_ended")
        if permission.status is PermissionStatus.ACTIVE
        else []
    )
    return [*points, *ended, move(state, OrderStatus.EXPIRED, "usage_period_ended")]


def lapse(state: State) -> list[Event]:
    """The paid period is over and the next payment has not come: no access until it does."""
    return permit(state, PermissionStatus.EXPIRED, "not_paid")


# ---------------------------------------------------------------------- pieces


def move(state: State, to: OrderStatus, reason: str) -> Event:
    """Change the order's status; the table of transitions is the last guard."""
    assert to in TRANSITIONS[state.status], f"{state.status} → {to}"
    event = _changed("order", state.status, to, reason)
    state.status, state.reason = to, reason
    return event


def give_back(
    state: State,
    number: int,
    amount_minor: int,
    now: datetime,
    *,
    why: str,
    object_id: str | None = None,
    bank_account: str | None = None,
    attempt: int = 1,
    returns: str | None = None,
) -> None:
    """Money of this order goes back, by the protocol that moves all money."""
    due = OrderRefund(
        object_id=object_id or state.id,
        number=number,
        amount_minor=amount_minor,
        sent_at=now,
        flight=InFlight.unsent(now),
        why=why,
        bank_account=bank_account,
        attempt=attempt,
        returns=returns,
    )
    state.refunds = (*state.refunds, due)


def hurry(state: State, now: datetime) -> None:
    """The payment company has news: the questions about money under way are due now."""
    flights = [refund.flight for refund in state.refunds]
    if state.in_flight is not None:
        flights.append(state.in_flight)
    for flight in flights:
        if flight.state in ("unknown", "pending"):
            flight.next_at = min(flight.next_at, now)


def verify_later(state: State, number: int, attempt: int, now: datetime, *, in_s: int) -> None:
    """The payment got its outcome after a doubt: look at the gateway's book once more, one horizon later."""
    doubt = Verification(number=number, attempt=attempt, next_at=now + timedelta(seconds=in_s))
    state.verifications = (*state.verifications, doubt)


def refund_refused_before(state: State, refund: OrderRefund, now: datetime) -> None:
    """The refused attempt is closed; the next one goes out under a key of its own."""
    again = refund.model_copy(
        update={
            "attempt": refund.attempt + 1,
            "flight": InFlight.unsent(now),
            "sent_at": now,
            "again": False,
        }
    )
    state.refunds = tuple(again if other is refund else other for other in state.refunds)


def refunded(state: State, refund: OrderRefund, now: datetime) -> list[Event]:
    """It is back with the customer."""
    state.refunds = tuple(other for other in state.refunds if other is not refund)
    if refund.returns is not None:
        return []  # a second charge: never counted as paid
    state.refunded_minor += refund.amount_minor
    if (
        state.status is not OrderStatus.CANCELED
        or state.payment_status is PaymentStatus.CANCEL_BEFORE_PAYMENT
    ):
        return []
    return change_payment(state, PaymentStatus.REFUNDED, refund.why)


def drop_slip(state: State, reason: str) -> None:
    """The slip is not wanted any more: void it, or never ask for it."""
    slip = state.slip
    if slip is None or slip.is_ended:
        return
    if slip.is_started:
        state.slip = slip.model_copy(update={"cancel": reason})
    else:
        state.slip = slip.model_copy(update={"status": DepositStatus.CANCELED})


def _complete(
    state: State,
    now: datetime,
    reason: str,
    *,
    payment: PaymentStatus | None = None,
    acquisition: Acquisition = "purchase",
    acquired_at: datetime | None = None,
) -> list[Event]:
    state.completed_at = now
    acquired_at = acquired_at or now
    period = None if state.terms.pay is Pay.RECURRING else state.terms.usage_period
    starts_at, ends_at = usage_of(period, acquired_at, zone=state.terms.zone)
    earlier = state.permission
    state.permission = Permission(
        id=state.permission_id,
        status=earlier.status if earlier else PermissionStatus.ACTIVE,
        reason=earlier.reason if earlier else reason,
        acquisition=acquisition,
        acquired_at=acquired_at,
        starts_at=starts_at,
        ends_at=ends_at,
    )
    granted = (
        permit(state, PermissionStatus.ACTIVE, reason)
        if earlier
        else [_changed("permission", None, PermissionStatus.ACTIVE, reason)]
    )
    paid_events = change_payment(state, payment, reason) if payment else []
    return [*paid_events, move(state, OrderStatus.COMPLETE, reason), *granted]


def permit(state: State, to: PermissionStatus, reason: str, **more: Any) -> list[Event]:
    """Change the permission's status, when there is a permission and it changes."""
    if state.permission is None or state.permission.status is to:
        return []
    before = state.permission.status
    state.permission = state.permission.model_copy(update={"status": to, "reason": reason, **more})
    return [_changed("permission", before, to, reason)]


def change_payment(state: State, to: PaymentStatus, reason: str) -> list[Event]:
    if state.payment_status is to:
        return []
    event = _changed("payment", state.payment_status, to, reason)
    state.payment_status = to
    return [event]


def _earn_points(state: State) -> list[Event]:
    points = state.terms.points
    if not points or state.points_earned:
        return []
    state.points_earned = points
    return [Event(kind="points", data={"what": "earned", "points": points})]


def take_points_back(state: State) -> list[Event]:
    points, state.points_earned = state.points_earned, 0
    return [Event(kind="points", data={"what": "taken_back", "points": -points})] if points else []


def _changed(thing: str, before: StrEnum | None, after: StrEnum, reason: str) -> Event:
    data = {"object": thing, "from": before.value if before else None, "to": after.value, "reason": reason}
    return Event(kind="status", data=data)
