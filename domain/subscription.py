"""The subscription: its statuses, the payment it is collecting, and what happens next.

`State` is everything a subscription remembers; the workflow carries it for decades and hands it whole to each
continue-as-new. The functions here decide, purely: `next_step` says what happens next and when; `attempted`,
`settled` and `declined` say what an attempt and its outcome change. What an operator may change is in
`operations`, what a resume would charge in `resume` (spec: subscriptions.md §§3–5).

One rule keeps the model small: at most one payment is *open* (attempted, not settled) at a time. Payments
missed while suspended are not listed anywhere; they are the cycles from `next_cycle` on that are already due.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import BaseModel, model_validator

from domain.declines import DeclineCategory
from domain.refunds import RefundDue
from domain.subscription_parts import (
    FINAL,
    TRANSITIONS,
    Held,
    OpenPayment,
    Status,
    Step,
    StepKind,
    Transition,
)
from domain.terms import Terms
from domain.unresolved import InFlight, Verification

__all__ = [
    "CATCH_UP_SPACING",
    "FINAL",
    "LATENESS_TOLERATED",
    "TRANSITIONS",
    "Held",
    "OpenPayment",
    "State",
    "Status",
    "Step",
    "StepKind",
    "Transition",
    "attempted",
    "complete",
    "cut_short",
    "declined",
    "move",
    "next_charge",
    "next_due_after",
    "next_shown",
    "next_step",
    "settled",
    "twin_found",
    "verify_later",
]

CATCH_UP_SPACING: Final = timedelta(minutes=20)
"""Between two payments that are both overdue: the seed's "every 20 minutes"."""

LATENESS_TOLERATED: Final = timedelta(minutes=1)
"""An attempt sent later than this (an outage) moves the rest of its ladder along, so that a card is never
tried twice in a row because its retry dates passed while nobody could send."""


class State(BaseModel):
    """Everything a subscription remembers.

    Old runs meet new code: new fields always get a default, and a default is never changed. Collections are tuples:
    only an assigned field is sure to travel to the next run (`runtime.temporal`).
    """

    id: str
    customer_id: str
    product_id: str
    terms: Terms
    status: Status = Status.UNVERIFIED
    reason: str = "created"
    next_cycle: int = 0
    next_cycle_at: datetime | None = None
    paced_until: datetime | None = None
    open: OpenPayment | None = None
    in_flight: InFlight | None = None
    refunds: tuple[RefundDue, ...] = ()
    verifications: tuple[Verification, ...] = ()
    charges: int = 0
    charged_minor: int = 0
    last_paid_number: int | None = None
    last_paid_minor: int | None = None
    amount_minor: int
    next_amount_minor: int | None = None
    cancel_at: datetime | None = None
    held: Held | None = None

    @model_validator(mode="before")
    @classmethod
    def _as_written_with_one_refund(cls, given: Any) -> Any:
        """A run that began on older code had at most one refund."""
        if isinstance(given, dict) and given.get("refund"):
            return {**given, "refunds": [given["refund"]]}
        return given

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    @property
    def wants_charges(self) -> bool:
        """Whether money may be asked for; what is in flight is resolved in any case."""
        return not self.is_final and self.status is not Status.SUSPENDED

    @property
    def is_at_rest(self) -> bool:
        """Nothing is under way at the gateway, and nothing is owed to the customer."""
        return self.in_flight is None and not self.refunds and not self.verifications

    @property
    def next_refund(self) -> RefundDue | None:
        return min(self.refunds, key=lambda refund: refund.flight.next_at, default=None)

    @property
    def next_verification(self) -> Verification | None:
        return min(self.verifications, key=lambda verification: verification.next_at, default=None)

    @property
    def has_more_charges(self) -> bool:
        """Whether the plan has charges left beyond those made and the open one."""
        spoken_for = self.charges + (1 if self.open else 0)
        return self.terms.total_charges is None or spoken_for < self.terms.total_charges

    @property
    def next_amount(self) -> int:
        """Minor units the next scheduled payment will take."""
        if self.terms.total_amount_minor is not None:
            rest = (
                self.terms.total_amount_minor
                - self.charged_minor
                - (self.open.amount_minor if self.open else 0)
            )
            is_last = self.terms.total_charges == self.charges + (1 if self.open else 0) + 1
            return rest if is_last else self.terms.amount_minor
        return self.amount_minor if self.next_amount_minor is None else self.next_amount_minor

    def next_cycle_due(self) -> datetime:
        return self.terms.calendar.due(self.next_cycle)

    def is_behind(self, now: datetime) -> bool:
        """Whether a scheduled payment is overdue and has not been attempted."""
        return self.has_more_charges and self.next_cycle_at is None and self.next_cycle_due() <= now


def next_step(state: State) -> Step | None:
    """The next thing this subscription does by itself. None: it waits for a person, or it has ended."""
    steps = _next_steps(state)
    if (verification := state.next_verification) is not None:
        steps.append(Step(StepKind.VERIFY, verification.next_at))
    return _earliest(steps)


def next_shown(state: State) -> Step | None:
    """The next thing that concerns people: a look-up that will most likely find nothing is not shown."""
    return _earliest(_next_steps(state))


def _earliest(steps: list[Step]) -> Step | None:
    # min is stable and the cancellation is listed first: at the very instant of a due date it wins, uncharged.
    return min(steps, key=lambda step: step.at, default=None)


def _next_steps(state: State) -> list[Step]:
    steps: list[Step] = []
    if state.cancel_at is not None and not state.is_final:
        steps.append(Step(StepKind.CANCEL, state.cancel_at))
    if state.in_flight is not None:
        kind = StepKind.ATTENTION if state.in_flight.state == "attention" else StepKind.ASK
        steps.append(Step(kind, state.in_flight.next_at))
    elif state.wants_charges:
        charge = next_charge(state)
        if charge is not None:
            steps.append(charge)
    if (refund := state.next_refund) is not None:
        steps.append(Step(StepKind.REFUND, refund.flight.next_at))
    return steps


def next_charge(state: State) -> Step | None:
    """The next attempt that is planned, whether or not anything may be charged just now."""
    if state.open is not None:
        instants = [at for at in (state.open.next_at, state.open.extra_at) if at is not None]
        return (
            Step(StepKind.RETRY if state.open.attempts else StepKind.PAYMENT, min(instants))
            if instants
            else None
        )
    if not state.has_more_charges:
        return None
    if state.next_cycle_at is not None:
        return Step(StepKind.PAYMENT, state.next_cycle_at)
    due_at = state.next_cycle_due()
    return Step(StepKind.PAYMENT, max(due_at, state.paced_until or due_at))


def attempted(state: State, now: datetime) -> OpenPayment:
    """Open the payment whose turn it is, if none is open, and mark an attempt as sent at `now`."""
    if state.open is None:
        step = next_charge(state)
        assert step is not None
        state.open = OpenPayment(
            number=state.next_cycle + 1,
            due_at=state.next_cycle_due(),
            amount_minor=state.next_amount,
            base_at=step.at,
            next_at=step.at,
        )
        state.next_cycle += 1
        state.next_cycle_at = None
        state.next_amount_minor = None
    payment = state.open
    is_planned = payment.next_at is not None and payment.next_at <= now
    payment.extra_at = None
    if payment.next_at is not None and now - payment.next_at > LATENESS_TOLERATED:
        payment.base_at += now - payment.next_at
    state.in_flight = InFlight(state="unknown", sent_at=now, resent_at=now, next_at=now, counted=is_planned)
    return payment


def settled(state: State, now: datetime) -> list[Transition]:
    """The open payment is paid."""
    payment = state.open
    assert payment is not None
    state.open = state.in_flight = None
    state.charges += 1
    state.charged_minor += payment.amount_minor
    state.last_paid_number, state.last_paid_minor = payment.number, payment.amount_minor
    state.paced_until = now + CATCH_UP_SPACING if state.is_behind(now) else None
    if state.is_final:
        # It ended while the outcome was unknown; a late success revives nothing, the money goes back.
        _give_back(state, payment.number, payment.amount_minor, now)
        return []
    if state.status is Status.SUSPENDED:
        _paid_while_held(state, now)
        return []
    transitions = []
    if state.status in (Status.UNVERIFIED, Status.UNCONFIRMED):
        transitions.append(move(state, Status.CURRENT, "first_payment_succeeded"))
    elif state.status is Status.UNPAID and not state.is_behind(now):
        retried = payment.attempts > 0
        transitions.append(move(state, Status.CURRENT, "retry_succeeded" if retried else "caught_up"))
    if not state.has_more_charges:
        if state.status is Status.UNPAID:
            transitions.append(move(state, Status.CURRENT, "caught_up"))
        transitions.append(complete(state))
    return transitions


def _paid_while_held(state: State, now: datetime) -> None:
    """An unblock finds it as it would be without the block: paid, unless more is overdue."""
    held = state.held
    if held is None or (held.status is Status.UNPAID and state.is_behind(now)):
        return
    if held.status is not Status.CURRENT:
        is_first = held.status is not Status.UNPAID
        reason = "first_payment_succeeded" if is_first else "retry_succeeded"
        state.held = held.model_copy(update={"status": Status.CURRENT, "reason": reason})


def verify_later(state: State, number: int, attempt: int, now: datetime, *, in_s: int) -> None:
    """An attempt got its outcome after a doubt: look at the gateway's book once more, one horizon later."""
    doubt = Verification(number=number, attempt=attempt, next_at=now + timedelta(seconds=in_s))
    state.verifications = (*state.verifications, doubt)


def twin_found(state: State, number: int, gateway_id: str, amount_minor: int, now: datetime) -> None:
    """The gateway made a second charge for one payment: it goes back, whatever the subscription's status."""
    if all(refund.returns != gateway_id for refund in state.refunds):
        _give_back(state, number, amount_minor, now, returns=gateway_id)


def _give_back(
    state: State, number: int, amount_minor: int, now: datetime, *, returns: str | None = None
) -> None:
    due = RefundDue(
        number=number, amount_minor=amount_minor, sent_at=now, flight=InFlight.unsent(now), returns=returns
    )
    state.refunds = (*state.refunds, due)


def declined(state: State, category: DeclineCategory, now: datetime) -> list[Transition]:
    """The open payment's attempt got a definite no; plan the next one or suspend."""
    payment = state.open
    assert payment is not None
    counted = state.in_flight is None or state.in_flight.counted
    state.in_flight = None
    payment.attempts += 1
    payment.counted += 1 if counted else 0
    if state.is_final:
        state.open = None
        return []
    if state.status is not Status.SUSPENDED:
        return _after_decline(state, payment, category, now, counted=counted)
    if state.held is None or category is DeclineCategory.BLOCKED:
        payment.next_at = payment.extra_at = None
        return []
    _declined_while_held(state, payment, category, now, counted=counted)
    return []


def _declined_while_held(
    state: State, payment: OpenPayment, category: DeclineCategory, now: datetime, *, counted: bool
) -> None:
    """An unblock finds it as it would be without the block: another retry planned, or suspended for its own reason."""
    held = state.held
    assert held is not None
    suspended = state.reason
    state.status, state.reason = held.status, held.reason
    _after_decline(state, payment, category, now, counted=counted)
    if state.status is Status.SUSPENDED:
        return  # no longer by the block: there is nothing to go back to
    state.held = held.model_copy(update={"status": state.status, "reason": state.reason})
    state.status, state.reason = Status.SUSPENDED, suspended


def _after_decline(
    state: State, payment: OpenPayment, category: DeclineCategory, now: datetime, *, counted: bool
) -> list[Transition]:
    """Plan the next attempt, or suspend."""
    # A new card that came while this answer was awaited still gets its immediate attempt.
    new_card_waits = payment.extra_at is not None and category is not DeclineCategory.BLOCKED
    if category is DeclineCategory.RETRYABLE or new_card_waits:
        if counted:
            payment.next_at = _next_rung(state, payment, now)
        if payment.next_at is not None:
            payment.next_at = max(payment.next_at, now)
        if payment.next_at is not None or new_card_waits:
            return _failed(state)
    payment.next_at = payment.extra_at = None
    before = Held(status=state.status, reason=state.reason, at=now)
    reason = "attempts_exhausted" if category is DeclineCategory.RETRYABLE else category.value
    first = _failed(state) if state.status is Status.UNVERIFIED else []
    moves = [*first, move(state, Status.SUSPENDED, reason)]
    state.held = before if category is DeclineCategory.BLOCKED else None
    return moves


def cut_short(state: State) -> None:
    """Forget what was planned: retries of the open payment, and a payment at an instant of its own."""
    if state.open is not None:
        state.open.next_at = state.open.extra_at = None
    state.next_cycle_at = None


def _failed(state: State) -> list[Transition]:
    if state.status is Status.UNVERIFIED:
        return [move(state, Status.UNCONFIRMED, "first_payment_failed")]
    if state.status is Status.CURRENT:
        return [move(state, Status.UNPAID, "payment_failed")]
    return []


def _next_rung(state: State, payment: OpenPayment, now: datetime) -> datetime | None:
    """The next attempt by the policy; None when none is left before the next due instant."""
    calendar = state.terms.calendar
    ladder = state.terms.retry.ladder(state.terms.period)
    if payment.counted >= len(ladder):
        return None
    at = max(calendar.shift(payment.base_at, ladder[payment.counted]), now)
    return at if at < next_due_after(state, payment.base_at) else None


def next_due_after(state: State, instant: datetime) -> datetime:
    """The first due instant after `instant` of a cycle that has not been opened."""
    calendar = state.terms.calendar
    cycle = calendar.first_at_or_after(instant, start=state.next_cycle)
    due_at = calendar.due(cycle)
    return due_at if due_at > instant else calendar.due(cycle + 1)


def complete(state: State) -> Transition:
    state.cancel_at = None
    return move(state, Status.COMPLETED, "all_charges_made")


def move(state: State, to: Status, reason: str) -> Transition:
    """Change the status; the table of allowed transitions is the last guard."""
    assert to in TRANSITIONS[state.status], f"{state.status} → {to}"
    transition = Transition(from_=state.status, to=to, reason=reason)
    state.status, state.reason = to, reason
    state.held = None
    return transition
