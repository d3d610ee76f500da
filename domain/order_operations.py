"""What customers and operators may do to an order. Each function changes the state it is given or refuses by name.

They are tried on a copy first and decided again where nothing else happens at the same time, so that of a use and a
cancellation, of a cancellation and the seventh day, of two uses of one ticket exactly one wins (spec: orders.md
§§2, 5–8).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from domain.errors import ErrorCode, TeikiError
from domain.identifiers import deposit_id
from domain.money import Money
from domain.order_changes import change_payment, confirm, drop_slip, give_back, move, permit, take_points_back
from domain.order_state import FINAL, Event, OrderRefund, OrderStatus, PaymentStatus, Slip, State
from domain.order_terms import Pay
from domain.permission import PermissionStatus
from domain.product import ProductTerms, ProductType, check_custom_fields
from domain.subscription import FINAL as ENDED_SUBSCRIPTION

_RECURRING_ALONE: Final = "Only a recurring order has a subscription."


def require_own(state: State, actor: str) -> None:
    """A customer acts on an order of their own only; operators and services on any.

    Raises:
        TeikiError: `forbidden`.
    """
    if actor.startswith("customer:") and actor != f"customer:{state.customer_id}":
        raise TeikiError(
            ErrorCode.FORBIDDEN, "A customer acts on an order of their own only.", order_id=state.id
        )


def use(state: State, now: datetime, actor: str) -> list[Event]:
    """The content is used or viewed: the purchase is confirmed. A ticket is processed instead.

    Raises:
        TeikiError: `permission_not_active` (not paid, canceled, expired) or `outside_usage_period`.
    """
    if state.terms.product_type is ProductType.TICKET:
        return process_access(state, now, actor)
    _require_access(state, now)
    return confirm(state, now, "used") if state.status is OrderStatus.COMPLETE else []


def process_access(state: State, now: datetime, actor: str) -> list[Event]:
    """Mark a ticket as used, once and for ever; confirms the purchase.

    Raises:
        TeikiError: `not_a_ticket`; `already_processed` with who and when; `permission_not_active`;
            `outside_usage_period`.
    """
    if state.terms.product_type is not ProductType.TICKET:
        raise TeikiError(ErrorCode.NOT_A_TICKET, "Only a ticket's access is processed.", order_id=state.id)
    permission = state.permission
    if permission is not None and permission.status is PermissionStatus.USED:
        raise TeikiError(
            ErrorCode.ALREADY_PROCESSED,
            "This ticket was processed before.",
            permission_id=permission.id,
            by=permission.used_by,
            at=permission.used_at.isoformat() if permission.used_at else None,
        )
    _require_access(state, now)
    used = permit(state, PermissionStatus.USED, "access_processed", used_at=now, used_by=actor)
    confirmed = confirm(state, now, "used") if state.status is OrderStatus.COMPLETE else []
    return [*used, *confirmed]


def revoke_access(state: State) -> list[Event]:
    """The payment was charged back: no access any more. A ticket that was used stays used; points stay.

    Raises:
        TeikiError: `permission_not_active` when there is no access to end.
    """
    permission = state.permission
    if permission is None or permission.status is not PermissionStatus.ACTIVE:
        raise TeikiError(
            ErrorCode.PERMISSION_NOT_ACTIVE,
            "There is no access to end.",
            order_status=state.status.value,
            permission=permission.status.value if permission else None,
        )
    return permit(state, PermissionStatus.REVOKED, "chargeback")


def _require_access(state: State, now: datetime) -> None:
    permission = state.permission
    if permission is None or permission.status is not PermissionStatus.ACTIVE:
        raise TeikiError(
            ErrorCode.PERMISSION_NOT_ACTIVE,
            "There is no access: the order is not paid, or its permission has ended.",
            order_status=state.status.value,
            permission=permission.status.value if permission else None,
        )
    if not permission.is_within(now):
        raise TeikiError(
            ErrorCode.OUTSIDE_USAGE_PERIOD,
            "There is no access outside the usage period.",
            starts_at=permission.starts_at.isoformat(),
            ends_at=permission.ends_at.isoformat() if permission.ends_at else None,
        )


# ---------------------------------------------------------------------- cancelling


def cancel(
    state: State,
    now: datetime,
    actor: str,
    *,
    refund_amount: Money | None = None,
    bank_account: str | None = None,
) -> list[Event]:
    """End the order and give back what was paid; the permission is revoked, points are taken back.

    Asked once more for an order whose remittance was refused, it asks for a new remittance: a request of its own, with
    a fee of its own.

    Args:
        state: changed in place.
        now: the instant.
        actor: a `customer:…` may cancel until the purchase is confirmed; others as long as it has not expired.
        refund_amount: what the person saw and agreed to; None: agrees to what is computed.
        bank_account: the payment company's token for the account a remittance goes to.

    Raises:
        TeikiError: `not_cancelable`, `invalid_status`, `refund_amount_mismatch` with both amounts,
            `partial_refund_not_supported`, `refund_not_supported`.
    """
    if (waiting := _refused_remittance(state)) is not None:
        _require_agreed(state, refund_amount, waiting.amount_minor)
        _ask_again(state, waiting, now, bank_account)
        return []
    if state.status in FINAL:
        raise TeikiError(
            ErrorCode.INVALID_STATUS,
            f"This order is {state.status.value}; it cannot be canceled any more.",
            status=state.status.value,
        )
    if state.status is OrderStatus.PURCHASE_CONFIRMED and actor.startswith("customer:"):
        raise TeikiError(
            ErrorCode.NOT_CANCELABLE,
            "The purchase is confirmed; only an administrator can cancel it now.",
            status=state.status.value,
        )
    amount = state.refundable_minor
    _require_agreed(state, refund_amount, amount)
    if amount and state.terms.pay is Pay.KONBINI and not state.terms.konbini_refundable:
        raise TeikiError(
            ErrorCode.REFUND_NOT_SUPPORTED, "The payment company cannot return a paid Konbini deposit."
        )
    reason = "canceled_by_customer" if actor.startswith("customer:") else "canceled_by_admin"
    _stop_what_runs(state, actor, reason)
    if amount:
        state.refund_requests += 1
        _refund(state, amount, now, bank_account)
    payment = (
        []
        if amount or state.paid_minor or state.terms.pay is Pay.NONE
        else change_payment(state, PaymentStatus.CANCEL_BEFORE_PAYMENT, reason)
    )
    return [
        *payment,
        move(state, OrderStatus.CANCELED, reason),
        *permit(state, PermissionStatus.REVOKED, reason),
        *take_points_back(state),
    ]


def _require_agreed(state: State, agreed: Money | None, amount_minor: int) -> None:
    if agreed is None:
        return
    price = state.terms.price
    currency = price.currency if price else agreed.currency
    if agreed.minor == amount_minor and (agreed.currency == currency or not amount_minor):
        return
    if state.terms.pay is Pay.KONBINI and 0 < agreed.minor < amount_minor and agreed.currency == currency:
        raise TeikiError(
            ErrorCode.PARTIAL_REFUND_NOT_SUPPORTED,
            "A Konbini deposit is returned whole.",
            agreed=agreed.model_dump(),
            computed={"minor": amount_minor, "currency": currency},
        )
    raise TeikiError(
        ErrorCode.REFUND_AMOUNT_MISMATCH,
        "The amount to be refunded is another than the one agreed to; nothing was changed.",
        agreed=agreed.model_dump(),
        computed={"minor": amount_minor, "currency": currency},
    )


def returned_by_cancel(state: State) -> int:
    """What a cancellation asked for now would return, in minor units: a refused remittance again, or what is paid."""
    waiting = _refused_remittance(state)
    return waiting.amount_minor if waiting is not None else state.refundable_minor


def _refused_remittance(state: State) -> OrderRefund | None:
    """A return of this order's own payment that the payment company refused and a person has to decide."""
    if state.status is not OrderStatus.CANCELED or state.terms.pay is not Pay.KONBINI:
        return None
    waiting = (r for r in state.refunds if r.flight.state == "attention" and not r.again)
    return next((refund for refund in waiting if refund.returns is None), None)


def _ask_again(state: State, refund: OrderRefund, now: datetime, bank_account: str | None) -> None:
    flight = refund.flight.model_copy(update={"next_at": now})
    again = refund.model_copy(update={"again": True, "bank_account": bank_account, "flight": flight})
    state.refund_requests += 1
    state.refunds = tuple(again if other is refund else other for other in state.refunds)


def _refund(state: State, amount_minor: int, now: datetime, bank_account: str | None) -> None:
    number = state.paid_number
    if state.terms.pay is Pay.RECURRING:
        assert state.subscription is not None
        number = state.subscription.last_number
    assert number is not None
    give_back(
        state,
        number,
        amount_minor,
        now,
        why="order_canceled",
        object_id=state.subscription_id,
        bank_account=bank_account,
    )


def _stop_what_runs(state: State, actor: str, reason: str) -> None:
    drop_slip(state, reason)
    fact = state.subscription
    if state.subscription_started and (fact is None or fact.status not in ENDED_SUBSCRIPTION):
        state.subscription_cancel = actor


def cancel_subscription(state: State, actor: str) -> list[Event]:
    """Stop the subscription without touching past payments; the permission runs until the paid period is over.

    Raises:
        TeikiError: `not_recurring`, `invalid_status` when order or subscription has ended.
    """
    if state.terms.pay is not Pay.RECURRING:
        raise TeikiError(ErrorCode.NOT_RECURRING, _RECURRING_ALONE, pay=state.terms.pay.value)
    fact = state.subscription
    if state.status in FINAL or state.subscription_cancel or (fact and fact.status in ENDED_SUBSCRIPTION):
        raise TeikiError(
            ErrorCode.INVALID_STATUS, "The subscription has ended already.", status=state.status.value
        )
    state.subscription_cancel = actor
    return []


# ---------------------------------------------------------------------- slips and answers


def issue_slip(state: State) -> list[Event]:
    """Another slip for the same order: the one before is voided first, and what is paid on it is late money.

    Raises:
        TeikiError: `not_konbini`; `invalid_status` when the order does not wait for a deposit.
    """
    if state.terms.pay is not Pay.KONBINI:
        raise TeikiError(ErrorCode.NOT_KONBINI, "Only a Konbini order has slips.", pay=state.terms.pay.value)
    if state.status is not OrderStatus.IN_PROCESS or state.earlier_slip is not None:
        raise TeikiError(
            ErrorCode.INVALID_STATUS,
            "A new slip is issued only while the order waits for its deposit, and after the one before is voided.",
            status=state.status.value,
        )
    earlier = state.slip
    if earlier is not None and earlier.is_started and not earlier.is_ended:
        state.earlier_slip = earlier.model_copy(update={"cancel": "another_slip"})
    state.slips += 1
    state.slip = Slip(deposit_id=deposit_id(state.id, state.slips), number=state.slips)
    return []


def change_custom_fields(state: State, fields: dict[str, Any]) -> list[Event]:
    """Put these answers in place of the old ones; until the purchase is confirmed (the admin's to do).

    Raises:
        TeikiError: `order_already_confirmed`; `invalid_status` for an order that has ended; `invalid_custom_field`.
    """
    if state.status not in (OrderStatus.IN_PROCESS, OrderStatus.COMPLETE):
        confirmed = state.status is OrderStatus.PURCHASE_CONFIRMED or state.confirmed_at is not None
        raise TeikiError(
            ErrorCode.ORDER_ALREADY_CONFIRMED if confirmed else ErrorCode.INVALID_STATUS,
            "The answers of a confirmed or ended order are not changed any more.",
            status=state.status.value,
        )
    asked = ProductTerms(custom_fields=state.terms.custom_fields)
    now_said = check_custom_fields(asked, {**state.custom_fields, **fields})
    before = {name: value for name, value in state.custom_fields.items() if now_said.get(name) != value}
    after = {name: value for name, value in now_said.items() if state.custom_fields.get(name) != value}
    state.custom_fields = dict(now_said)
    return [Event(kind="custom_fields", data={"before": before, "after": after})] if before or after else []
