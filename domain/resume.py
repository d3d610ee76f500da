"""What a resume does with the payments that fell due meanwhile, and the plan it promises.

`catch_up`: the oldest missed payment at once, then one every 20 minutes. `next_cycle`: missed ones are skipped and
the next payment is the nearest cycle date, today included (charged upon resumption). `at`: the operator names the
next payment's instant. With a fixed number of charges the skipped ones move to the tail by themselves: charges made
are counted, not dates passed (spec: subscriptions.md §5).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from pydantic import BaseModel, ConfigDict

from domain.errors import ErrorCode, TeikiError
from domain.money import Money
from domain.subscription import (
    OpenPayment,
    State,
    Status,
    StepKind,
    Transition,
    attempted,
    complete,
    cut_short,
    move,
    next_step,
    settled,
)
from domain.terms import ResumePolicy

PLAN_PAYMENTS_MAX: Final = 120
RESUME_AHEAD_MAX: Final = timedelta(days=3_660)
_PLAN_AHEAD: Final = 3


class Skipped(BaseModel):
    """Payments `first`…`last` (numbers) that are never charged, and the rule that says so."""

    model_config = ConfigDict(frozen=True)

    first: int
    last: int
    reason: str


class PlannedPayment(BaseModel):
    """One payment of a plan: charged `at`, for the cycle date `due_at`."""

    model_config = ConfigDict(frozen=True)

    number: int
    due_at: datetime
    at: datetime
    amount: Money


class Plan(BaseModel):
    """What would be charged and when, if every charge succeeds.

    Attributes:
        payments: in order; for an open-ended subscription the missed ones and the next three.
        goes_on: whether more follow after the listed ones.
        skipped: the payments the policy gives up.
        cancel_at: when a scheduled cancellation ends it.
    """

    model_config = ConfigDict(frozen=True)

    payments: list[PlannedPayment]
    goes_on: bool
    skipped: list[Skipped]
    cancel_at: datetime | None = None


class Resumed(BaseModel):
    transitions: list[Transition]
    skipped: list[Skipped]


def resume(state: State, now: datetime, *, policy: ResumePolicy, at: datetime | None = None) -> Resumed:
    """Let a suspended subscription go on. Changes `state`.

    Raises:
        TeikiError: `invalid_status` when it is not suspended, `resume_at_in_past`, or `invalid_instant` when
            `at` is more than ten years ahead.
    """
    if state.status is not Status.SUSPENDED:
        raise TeikiError(
            ErrorCode.INVALID_STATUS,
            "Only a suspended subscription can be resumed.",
            status=state.status.value,
            allowed=[Status.SUSPENDED.value],
        )
    if at is not None:
        _require_near_future(at, now)
    if state.held is not None:
        cut_short(state)  # a person decides anew; what the block interrupted is not gone back to
    state.next_cycle_at = None
    if not state.has_more_charges and state.open is None:
        # The last outcome came while suspended: nothing is left to charge, hence nothing to skip.
        return Resumed(transitions=[move(state, Status.CURRENT, "resumed"), complete(state)], skipped=[])
    if at is not None:
        skipped = _resume_at(state, at)
    elif policy is ResumePolicy.CATCH_UP:
        skipped = _catch_up(state, now)
    else:
        skipped = _next_cycle(state, now)
    owes = state.open is not None or (at is None and policy is ResumePolicy.CATCH_UP and state.is_behind(now))
    resumed = move(state, Status.UNPAID if owes else Status.CURRENT, "resumed")
    return Resumed(transitions=[resumed], skipped=[s for s in skipped if s.first <= s.last])


def _require_near_future(at: datetime, now: datetime) -> None:
    if at < now:
        raise TeikiError(
            ErrorCode.RESUME_AT_IN_PAST, "The next payment cannot be in the past.", at=at.isoformat()
        )
    if at - now > RESUME_AHEAD_MAX:
        raise TeikiError(
            ErrorCode.INVALID_INSTANT, "The next payment is at most ten years ahead.", at=at.isoformat()
        )


def _catch_up(state: State, now: datetime) -> list[Skipped]:
    """The open payment first, then the overdue cycles, 20 minutes apart; pacing does the rest."""
    state.paced_until = now
    if state.open is not None and state.in_flight is None:
        _collect_again(state, now)
    return []


def _next_cycle(state: State, now: datetime) -> list[Skipped]:
    skipped = _skip_open(state, "policy_next_cycle")
    calendar = state.terms.calendar
    if state.next_cycle_due() > now:
        return skipped
    today = calendar.local_date(now)
    first = state.next_cycle
    state.next_cycle = calendar.first_on_or_after(today, start=first)
    if calendar.due_on(state.next_cycle) == today:
        state.next_cycle_at = now
    return [*skipped, Skipped(first=first + 1, last=state.next_cycle, reason="policy_next_cycle")]


def _resume_at(state: State, at: datetime) -> list[Skipped]:
    """The named instant takes the latest payment missed by then; what is older is skipped."""
    first = state.next_cycle
    if state.next_cycle_due() <= at:
        skipped = _skip_open(state, "policy_at")
        cycle = state.terms.calendar.first_at_or_after(at, start=first)
        state.next_cycle = cycle if state.terms.calendar.due(cycle) == at else cycle - 1
        state.next_cycle_at = at
        return [*skipped, Skipped(first=first + 1, last=state.next_cycle, reason="policy_at")]
    if state.open is not None and state.in_flight is None:
        _collect_again(state, at)
    else:
        state.next_cycle_at = at
    return []


def _collect_again(state: State, at: datetime) -> None:
    """A new round for the open payment: a resume resets the count, never the attempt's number."""
    assert state.open is not None
    state.open.next_at = state.open.base_at = at
    state.open.extra_at = None
    state.open.counted = 0


def _skip_open(state: State, reason: str) -> list[Skipped]:
    # An attempt in flight may still succeed: its payment is not given up before its outcome is known.
    if state.open is None or state.in_flight is not None:
        return []
    number = state.open.number
    state.open = None
    return [Skipped(first=number, last=number, reason=reason)]


def preview(state: State, now: datetime, *, ahead: int = _PLAN_AHEAD) -> Plan:
    """The payments to come if every charge succeeds. Changes nothing.

    Args:
        state: as it is, or a copy on which an operation was tried.
        now: the instant of asking.
        ahead: how many regular payments to list when the subscription is open-ended.
    """
    future = state.model_copy(deep=True)
    payments: list[PlannedPayment] = []
    regular = 0
    clock = now
    if future.in_flight is not None and future.open is not None and not future.is_final:
        # Already sent: it is part of the plan, at the instant it was sent, even when its retries were cut short.
        payments.append(_planned(future, future.open, future.in_flight.sent_at))
        settled(future, now)
    while len(payments) < PLAN_PAYMENTS_MAX and (future.terms.total_charges is not None or regular < ahead):
        step = next_step(future)
        if step is None or step.kind not in (StepKind.PAYMENT, StepKind.RETRY):
            break
        clock = max(step.at, clock)
        payment = attempted(future, clock)
        payments.append(_planned(future, payment, clock))
        regular += 1 if payment.due_at > now else 0
        settled(future, clock)
    return Plan(
        payments=payments,
        goes_on=not future.is_final and next_step(future) is not None and future.cancel_at is None,
        skipped=[],
        cancel_at=state.cancel_at,
    )


def _planned(state: State, payment: OpenPayment, at: datetime) -> PlannedPayment:
    amount = Money(minor=payment.amount_minor, currency=state.terms.currency)
    return PlannedPayment(number=payment.number, due_at=payment.due_at, at=at, amount=amount)
