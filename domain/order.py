"""The order: what payments and time change (spec: orders.md §§2–8).

The functions decide, purely, and answer with the events that history keeps: changes of status (of the order, its
payment, its permission) and points. What people may do is in `order_operations`; how a slip or a subscription tells the
order of its money is `deposit_changed` and `subscription_changed` here. All of it is called in one place, serially:
that is where the races of use, cancel, payment and timer are decided.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from domain.billing_calendar import parse_zone
from domain.deposit import ENDED as ENDED_DEPOSIT
from domain.deposit import DepositStatus
from domain.identifiers import deposit_id, permission_id, subscription_of_order
from domain.order_changes import (
    change_payment,
    complete,
    confirm,
    drop_slip,
    earn_points,
    give_back,
    move,
    permit,
    take_points_back,
)
from domain.order_state import (
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
from domain.permission import PermissionStatus
from domain.subscription import FINAL as ENDED_SUBSCRIPTION
from domain.subscription import Status as SubscriptionStatus
from domain.unresolved import InFlight, Verification

__all__ = [
    "acquired",
    "confirm",
    "declined",
    "deposit_changed",
    "expire",
    "give_back",
    "lapse",
    "paid",
    "placed",
    "refund_refused_before",
    "refunded",
    "subscription_changed",
    "verify_later",
]

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
    return complete(state, now, "paid", payment=PaymentStatus.PAYMENT_COMPLETED, acquired_at=paid_at)


def acquired(state: State, now: datetime) -> list[Event]:
    """Token authentication: nothing is paid, the token proved the right."""
    return complete(state, now, "token_authenticated", acquisition="token_auth")


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
    """What became of a slip; one that is not the order's current slip can only bring money that goes back.

    A fact says how the slip stands, not what changed: one told twice, or after a later one, changes nothing.
    """
    if fact.status is DepositStatus.PAID:
        return _slip_paid(state, fact, now)
    slip = state.slip
    if slip is None or slip.number != fact.number:
        if _is_earlier(state, fact.number) and fact.status in ENDED_DEPOSIT:
            state.earlier_slip = None
        return []
    if slip.is_ended or slip.status is fact.status or (slip.told_at is not None and fact.at < slip.told_at):
        return []
    state.slip = _told(slip, fact)
    # Another slip may have paid the order: what becomes of this one without money is nothing to it then.
    return [] if state.is_final or state.paid_number is not None else _unpaid(state, fact, now)


def _slip_paid(state: State, fact: DepositFact, now: datetime) -> list[Event]:
    """Each slip's money counts once, whatever else was told of the slip before or comes later."""
    assert state.terms.price is not None
    if state.slip is not None and state.slip.number == fact.number:
        state.slip = _told(state.slip, fact)
    elif _is_earlier(state, fact.number):
        state.earlier_slip = None
    if fact.number in state.paid_slips:
        return []
    state.paid_slips = (*state.paid_slips, fact.number)
    return paid(state, fact.number, state.terms.price.minor, now, paid_at=fact.paid_at)


def _told(slip: Slip, fact: DepositFact) -> Slip:
    return slip.model_copy(update={"status": fact.status, "is_started": True, "told_at": fact.at})


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
    if fact.status is DepositStatus.CANCELED and state.slip is not None and state.slip.cancel is None:
        # Not by this order's wish: somebody stopped the slip in the engine, and nobody could pay the order any more.
        back = _preliminary_taken_back(state, now) if state.is_preliminary else []
        unpaid = change_payment(state, PaymentStatus.CANCEL_BEFORE_PAYMENT, "slip_canceled")
        return [*back, *unpaid, move(state, OrderStatus.CANCELED, "slip_canceled")]
    return []


def _preliminary(state: State, now: datetime) -> list[Event]:
    if not state.terms.preliminary_completes or state.status is not OrderStatus.IN_PROCESS:
        return []
    state.is_preliminary = True
    return complete(state, now, "preliminary_notice", payment=PaymentStatus.PAYMENT_COMPLETED)


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
    before = state.subscription
    if before is not None and (fact.charges < before.charges or _has_ended(before)):
        return []  # told twice, or overtaken by later news
    state.subscription = fact
    is_paid = fact.charges > (before.charges if before else 0)
    if state.is_final:
        if is_paid and state.status is OrderStatus.CANCELED:
            _give_back_last(state, fact, now)
        return []
    events: list[Event] = []
    if is_paid:
        state.payments, state.paid_minor = fact.charges, fact.charged_minor
        if state.status is OrderStatus.IN_PROCESS:
            events += complete(state, now, "first_payment_succeeded", payment=PaymentStatus.RECURRING_PAYMENT)
        elif state.permission is not None and state.permission.status is PermissionStatus.EXPIRED:
            events += permit(state, PermissionStatus.ACTIVE, "paid_again")
    if not _has_ended(fact):
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


def _give_back_last(state: State, fact: SubscriptionFact, now: datetime) -> None:
    """Charged between the cancellation of the order and the end of its subscription."""
    assert fact.last_number is not None
    assert fact.last_amount_minor is not None
    state.payments, state.paid_minor = fact.charges, fact.charged_minor
    give_back(
        state,
        fact.last_number,
        fact.last_amount_minor,
        now,
        why="settled_after_the_end",
        object_id=state.subscription_id,
    )


def _has_ended(fact: SubscriptionFact) -> bool:
    return fact.status in ENDED_SUBSCRIPTION


# ---------------------------------------------------------------------- time


def expire(state: State, now: datetime) -> list[Event]:
    """The usage period is over. One that ends before the purchase was confirmed confirms it at that instant."""
    points: list[Event] = []
    if state.status is OrderStatus.COMPLETE:
        state.confirmed_at = now
        points = earn_points(state)
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


# ---------------------------------------------------------------------- money that goes back


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


def refunded(
    state: State, refund: OrderRefund, now: datetime, *, returned_minor: int | None = None
) -> list[Event]:
    """It is back with the customer. `returned_minor`: less than was planned, because credits came first."""
    state.refunds = tuple(other for other in state.refunds if other is not refund)
    if refund.returns is not None:
        return []  # a second charge: never counted as paid
    amount_minor = refund.amount_minor if returned_minor is None else returned_minor
    state.refunded_minor += amount_minor
    if not amount_minor:
        return []  # credits have taken all of it, and say so themselves
    if (
        state.status is not OrderStatus.CANCELED
        or state.payment_status is PaymentStatus.CANCEL_BEFORE_PAYMENT
    ):
        return []
    return change_payment(state, PaymentStatus.REFUNDED, refund.why)
