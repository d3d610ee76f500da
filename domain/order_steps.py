"""What an order does next by itself, and when (spec: orders.md §§2, 4, 6).

Everything that happens without a person is a step with an instant; the workflow waits for the earliest one.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from domain.order_state import OrderStatus, Slip, State
from domain.order_terms import Pay
from domain.permission import PermissionStatus
from domain.subscription import FINAL as ENDED_SUBSCRIPTION
from domain.subscription import Status as SubscriptionStatus

CONFIRMED_AFTER: Final = timedelta(days=7)
"""Since completion; exactly 168 hours, whatever the zone's clocks do meanwhile."""


class StepKind(StrEnum):
    CHARGE = "charge"
    ASK = "ask"
    ATTENTION = "attention"
    SLIP = "slip"
    SUBSCRIPTION = "subscription"
    CONFIRM = "confirm"
    EXPIRE = "expire"
    LAPSE = "lapse"
    REFUND = "refund"
    VERIFY = "verify"


class Step(NamedTuple):
    """What happens next, and when (it may be overdue)."""

    kind: StepKind
    at: datetime


def next_step(state: State, now: datetime) -> Step | None:
    """The next thing this order does by itself. None: it waits for a person or a payment, or it has ended."""
    steps = _next_steps(state, now)
    if (verification := state.next_verification) is not None:
        steps.append(Step(StepKind.VERIFY, verification.next_at))
    return min(steps, key=lambda step: step.at, default=None)


def next_shown(state: State, now: datetime) -> Step | None:
    """The next thing that concerns people."""
    return min(_next_steps(state, now), key=lambda step: step.at, default=None)


def _next_steps(state: State, now: datetime) -> list[Step]:
    steps: list[Step] = []
    if slip_to_tend(state) is not None:
        steps.append(Step(StepKind.SLIP, now))
    if state.subscription_cancel is not None or (
        state.terms.pay is Pay.RECURRING and not state.subscription_started and not state.is_final
    ):
        steps.append(Step(StepKind.SUBSCRIPTION, now))
    if state.in_flight is not None:
        waits = state.in_flight.state == "attention"
        steps.append(Step(StepKind.ATTENTION if waits else StepKind.ASK, state.in_flight.next_at))
    elif state.terms.pay is Pay.CARD and state.status is OrderStatus.IN_PROCESS:
        steps.append(Step(StepKind.CHARGE, now))
    if (refund := state.next_refund) is not None:
        steps.append(Step(StepKind.REFUND, refund.flight.next_at))
    if not state.is_final and state.permission is not None:
        steps += _of_time(state)
    return steps


def slip_to_tend(state: State) -> Slip | None:
    """The slip that is to be started, or told that it is not wanted any more."""
    for slip in (state.earlier_slip, state.slip):
        if slip is None or slip.is_ended:
            continue
        if slip.cancel is not None and slip.is_started and not slip.is_told:
            return slip
        if not slip.is_started and slip.cancel is None and state.earlier_slip is None:
            return slip
    return None


def _of_time(state: State) -> list[Step]:
    assert state.permission is not None
    # Expiry is listed first: a period that ends at the very instant of confirmation ends the order from `complete`.
    # While the money is only announced the order cannot end: what comes then must not be taken for late money.
    ends_at = None if state.is_preliminary else state.permission.ends_at
    steps = [Step(StepKind.EXPIRE, ends_at)] if ends_at else []
    if state.status is OrderStatus.COMPLETE and not state.is_preliminary:
        assert state.completed_at is not None
        steps.append(Step(StepKind.CONFIRM, state.completed_at + CONFIRMED_AFTER))
    fact = state.subscription
    if (
        fact is not None
        and fact.paid_until is not None
        and state.permission.status is PermissionStatus.ACTIVE
        and fact.status is not SubscriptionStatus.CURRENT
        and fact.status not in ENDED_SUBSCRIPTION
    ):
        steps.append(Step(StepKind.LAPSE, fact.paid_until))
    return steps
