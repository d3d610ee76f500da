"""The subscription as everybody else sees it: the columns of its row, kept in step with the workflow's state.

The workflow decides and remembers; Postgres shows. Each write carries only what changed, so that a renewal stays
small in history (spec: subscriptions.md §9, quality.md "Speed and cost").
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from domain.order_state import SubscriptionFact
from domain.subscription import State, Status, StepKind, next_shown


class Row(BaseModel):
    """The changing columns of a subscription's row.

    Attributes:
        next_kind: `payment retry ask cancel refund attention`, or None when it waits for a person or has ended.
        next_at: when that happens (it may be overdue for a moment).
        failing: a payment was declined and is not settled yet.
        charges: how many succeeded; `charged_minor` is their sum in minor units.
        next_amount_minor: the amount of the next scheduled payment when it was overridden once.
    """

    model_config = ConfigDict(frozen=True)

    status: Status
    reason: str
    next_kind: str | None
    next_at: datetime | None
    failing: bool
    charges: int
    charged_minor: int
    amount_minor: int
    next_amount_minor: int | None
    cancel_at: datetime | None


class SubscriptionView(Row):
    """The answer of every operation: the new state."""

    id: str


def next_payment_at(next_kind: str | None, next_at: datetime | None) -> datetime | None:
    """When the next charge is sent, a retry included; None while none is planned."""
    return next_at if next_kind in (StepKind.PAYMENT, StepKind.RETRY) else None


def row_of(state: State) -> Row:
    step = next_shown(state)
    return Row(
        status=state.status,
        reason=state.reason,
        next_kind=step.kind.value if step else None,
        next_at=step.at if step else None,
        failing=state.open is not None and state.open.attempts > 0,
        charges=state.charges,
        charged_minor=state.charged_minor,
        amount_minor=state.amount_minor,
        next_amount_minor=state.next_amount_minor,
        cancel_at=state.cancel_at,
    )


def view_of(state: State) -> SubscriptionView:
    return SubscriptionView(id=state.id, **row_of(state).model_dump())


def order_fact(state: State) -> SubscriptionFact:
    """What the order hears that this subscription pays."""
    number = state.last_paid_number
    step = next_shown(state)
    return SubscriptionFact(
        status=state.status,
        charges=state.charges,
        charged_minor=state.charged_minor,
        # Payment n is for the n-th cycle, which the (n+1)-th due instant ends.
        paid_until=state.terms.calendar.due(number) if number is not None else None,
        next_payment_at=next_payment_at(step.kind.value, step.at) if step else None,
        last_number=number,
        last_amount_minor=state.last_paid_minor,
    )


def changes(before: Row, after: Row) -> dict[str, Any]:
    """The columns that differ, as JSON values: what a write needs to carry."""
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    return {column: value for column, value in new.items() if old[column] != value}
