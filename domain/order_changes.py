"""The single changes that everything in an order's life is made of: a status moves, access is granted, points are
earned, money goes back, a slip is dropped (spec: orders.md §§2, 4, 6, 8).

Each changes the state it is given and answers with the events that history keeps. What leads to them is decided in
`order` and `order_operations`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from domain.deposit import DepositStatus
from domain.order_state import TRANSITIONS, Event, OrderRefund, OrderStatus, PaymentStatus, State
from domain.order_terms import Pay
from domain.permission import Acquisition, Permission, PermissionStatus
from domain.product import usage_of
from domain.unresolved import InFlight


def move(state: State, to: OrderStatus, reason: str) -> Event:
    """Change the order's status; the table of transitions is the last guard."""
    assert to in TRANSITIONS[state.status], f"{state.status} → {to}"
    event = _changed("order", state.status, to, reason)
    state.status, state.reason = to, reason
    return event


def change_payment(state: State, to: PaymentStatus, reason: str) -> list[Event]:
    if state.payment_status is to:
        return []
    event = _changed("payment", state.payment_status, to, reason)
    state.payment_status = to
    return [event]


def permit(state: State, to: PermissionStatus, reason: str, **more: Any) -> list[Event]:
    """Change the permission's status, when there is a permission and it changes."""
    if state.permission is None or state.permission.status is to:
        return []
    before = state.permission.status
    state.permission = state.permission.model_copy(update={"status": to, "reason": reason, **more})
    return [_changed("permission", before, to, reason)]


def complete(
    state: State,
    now: datetime,
    reason: str,
    *,
    payment: PaymentStatus | None = None,
    acquisition: Acquisition = "purchase",
    acquired_at: datetime | None = None,
) -> list[Event]:
    """Complete the order and grant access; `acquired_at`: when the store was paid, if that was before `now`."""
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
        used_at=earlier.used_at if earlier else None,
        used_by=earlier.used_by if earlier else None,
    )
    paid_events = change_payment(state, payment, reason) if payment else []
    completed = [*paid_events, move(state, OrderStatus.COMPLETE, reason)]
    if earlier is None:
        return [*completed, _changed("permission", None, PermissionStatus.ACTIVE, reason)]
    if earlier.used_at is not None:
        # A ticket that was used on a preliminary notice stays used for ever, also when that was taken back meanwhile.
        return [*completed, *permit(state, PermissionStatus.USED, reason), *confirm(state, now, "used")]
    return [*completed, *permit(state, PermissionStatus.ACTIVE, reason)]


def confirm(state: State, now: datetime, reason: str = "seven_days_passed") -> list[Event]:
    """The purchase stands: the customer can cancel no more, and the points are earned."""
    state.confirmed_at = now
    return [move(state, OrderStatus.PURCHASE_CONFIRMED, reason), *earn_points(state)]


def earn_points(state: State) -> list[Event]:
    points = state.terms.points
    if not points or state.points_earned:
        return []
    state.points_earned = points
    return [Event(kind="points", data={"what": "earned", "points": points})]


def take_points_back(state: State) -> list[Event]:
    points, state.points_earned = state.points_earned, 0
    return [Event(kind="points", data={"what": "taken_back", "points": -points})] if points else []


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


def drop_slip(state: State, reason: str) -> None:
    """The slip is not wanted any more: void it, or never ask for it."""
    slip = state.slip
    if slip is None or slip.is_ended:
        return
    if slip.is_started:
        state.slip = slip.model_copy(update={"cancel": reason})
    else:
        state.slip = slip.model_copy(update={"status": DepositStatus.CANCELED})


def _changed(thing: str, before: StrEnum | None, after: StrEnum, reason: str) -> Event:
    data = {"object": thing, "from": before.value if before else None, "to": after.value, "reason": reason}
    return Event(kind="status", data=data)
