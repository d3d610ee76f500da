"""The order as everybody else sees it: the columns of its row, kept in step with the workflow (spec: orders.md §10)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from domain.order_state import OrderStatus, PaymentStatus, State
from domain.order_steps import next_shown
from domain.permission import Permission


class OrderRow(BaseModel):
    """The changing columns of an order's row. Amounts in minor units of the price's currency.

    Attributes:
        payments: how many were made (N-times of a recurring order).
        ends_at: when the permission ends; `expires_on`: the local date shown for a canceled subscription.
        next_kind: what it does next by itself, and `next_at` when.
        next_payment_at: of a recurring order.
    """

    model_config = ConfigDict(frozen=True)

    status: OrderStatus
    reason: str
    payment_status: PaymentStatus
    payments: int = 0
    paid_minor: int = 0
    refunded_minor: int = 0
    points_expected: int = 0
    points_earned: int = 0
    completed_at: datetime | None = None
    confirmed_at: datetime | None = None
    ends_at: datetime | None = None
    expires_on: date | None = None
    next_kind: str | None = None
    next_at: datetime | None = None
    next_payment_at: datetime | None = None
    deposit_id: str | None = None
    subscription_id: str | None = None


class OrderView(OrderRow):
    """The answer of every operation: the new state."""

    id: str
    number: str
    permission: Permission | None = None


def row_of(state: State, now: datetime) -> OrderRow:
    step = next_shown(state, now)
    return OrderRow(
        status=state.status,
        reason=state.reason,
        payment_status=state.payment_status,
        payments=state.payments,
        paid_minor=state.paid_minor,
        refunded_minor=state.refunded_minor,
        points_expected=state.points_expected,
        points_earned=state.points_earned,
        completed_at=state.completed_at,
        confirmed_at=state.confirmed_at,
        ends_at=state.ends_at,
        expires_on=state.expires_on,
        next_kind=step.kind.value if step else None,
        next_at=step.at if step else None,
        next_payment_at=state.subscription.next_payment_at if state.subscription else None,
        deposit_id=state.slip.deposit_id if state.slip else None,
        subscription_id=state.subscription_id,
    )


def view_of(state: State, now: datetime) -> OrderView:
    return OrderView(
        id=state.id, number=state.number, permission=state.permission, **row_of(state, now).model_dump()
    )


def changes(before: OrderRow, after: OrderRow) -> dict[str, Any]:
    """The columns that differ, as JSON values."""
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    return {column: value for column, value in new.items() if old[column] != value}
