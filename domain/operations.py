"""What people may do to a subscription, and when (spec: subscriptions.md §§1, 4–7).

Each operation checks first and raises before it touches anything: a refused operation changes nothing.
The order of names is the order of a subscription's life.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from domain.errors import ErrorCode, TeikiError
from domain.money import Money, require_positive
from domain.refunds import RefundDue, without
from domain.subscription import State, Status, Transition, cut_short, move, next_due_after

CARD_CHANGE_ALLOWED: Final = frozenset({Status.UNCONFIRMED, Status.UNPAID, Status.CURRENT, Status.SUSPENDED})


def suspend(state: State, *, reason: str = "suspended_by_operator") -> list[Transition]:
    """Stop charging; due dates pass. Retries of the open payment are cut short and it counts as missed."""
    _require_status(state, "suspended", Status.CURRENT, Status.UNPAID)
    cut_short(state)
    return [move(state, Status.SUSPENDED, reason)]


def cancel_now(state: State, now: datetime, *, reason: str = "canceled_now") -> list[Transition]:
    """End it for good. An attempt in flight is still resolved, and its money returned if it settled."""
    require_running(state)
    state.cancel_at = None
    if state.in_flight is None:
        state.open = None
    else:
        state.in_flight.next_at = min(state.in_flight.next_at, now)
    return [move(state, Status.CANCELED, reason)]


def cancel_at_period_end(state: State, now: datetime) -> list[Transition]:
    """Keep it active until the next scheduled payment date, which is then not charged."""
    require_running(state)
    if state.cancel_at is not None:
        raise TeikiError(
            ErrorCode.ALREADY_SCHEDULED_FOR_CANCELLATION,
            "It is already scheduled for cancellation.",
            cancel_at=state.cancel_at.isoformat(),
        )
    state.cancel_at = _next_scheduled_at(state, now)
    return []


def _next_scheduled_at(state: State, now: datetime) -> datetime:
    if state.next_cycle_at is not None and state.next_cycle_at > now:
        return state.next_cycle_at
    return next_due_after(state, now)


def recover(state: State) -> list[Transition]:
    """Take a scheduled cancellation back; nothing else changes."""
    require_running(state)
    if state.cancel_at is None:
        raise TeikiError(
            ErrorCode.NOT_SCHEDULED_FOR_CANCELLATION,
            "There is no scheduled cancellation to take back.",
            status=state.status.value,
        )
    state.cancel_at = None
    return []


def change_card(state: State, now: datetime) -> list[Transition]:
    """A new card is stored. While a payment is failing it is tried at once, outside the policy's count."""
    require_card_change_allowed(state)
    if state.status in (Status.UNPAID, Status.UNCONFIRMED) and state.open is not None:
        state.open.extra_at = now
    return []


def require_card_change_allowed(state: State) -> None:
    _require_status(state, "given another card", *CARD_CHANGE_ALLOWED)


def change_amount(state: State, amount: Money, *, next_only: bool = False) -> list[Transition]:
    """Another amount from the next scheduled payment not attempted yet, or for that one only."""
    require_running(state)
    require_positive(amount)
    if amount.currency != state.terms.currency:
        raise TeikiError(
            ErrorCode.CURRENCY_MISMATCH,
            "A subscription keeps its currency.",
            expected=state.terms.currency,
            got=amount.currency,
        )
    if state.terms.total_amount_minor is not None:
        raise TeikiError(ErrorCode.AMOUNT_FIXED_BY_TOTAL, "The total amount fixes the amount of each charge.")
    if next_only:
        state.next_amount_minor = amount.minor
    else:
        state.amount_minor = amount.minor
        state.next_amount_minor = None
    return []


def require_running(state: State) -> None:
    """Everything but canceled and completed; those are final."""
    if state.is_final:
        raise _invalid_status(state, "This subscription has ended.", allowed="any but canceled and completed")


def _require_status(state: State, done: str, *allowed: Status) -> None:
    if state.status not in allowed:
        raise _invalid_status(
            state,
            f"A subscription that is {state.status.value} cannot be {done}.",
            allowed=sorted(status.value for status in allowed),
        )


def _invalid_status(state: State, message: str, **facts: Any) -> TeikiError:
    return TeikiError(ErrorCode.INVALID_STATUS, message, status=state.status.value, **facts)


PAYMENT_ITSELF: Final = "payment"
"""Names the refund of the payment's own charge, where a second charge is named by its gateway id."""


def waiting_for_a_person(state: State, number: int, returns: str | None) -> RefundDue | None:
    """What a person is to settle: the refund meant; None: the charge in flight.

    Args:
        state: left as it is.
        number: the payment's.
        returns: `PAYMENT_ITSELF` or the gateway id of a second charge for its return; None: the charge.

    Raises:
        TeikiError: `nothing_to_settle` when it does not wait for a person.
    """
    if returns is None:
        if (
            state.in_flight is not None
            and state.in_flight.state == "attention"
            and state.open is not None
            and state.open.number == number
        ):
            return None
    else:
        twin = None if returns == PAYMENT_ITSELF else returns
        for refund in state.refunds:
            if refund.number == number and refund.returns == twin and refund.flight.state == "attention":
                return refund
    raise TeikiError(
        ErrorCode.NOTHING_TO_SETTLE,
        "Nothing of this payment waits for a person; while the gateway is still asked, wait.",
        number=number,
    )


def refund_closed(state: State, refund: RefundDue, now: datetime, *, again: bool = False) -> None:
    """It is done with; or a person wants it asked for again, as a new attempt with a key of its own."""
    state.refunds = without(state.refunds, refund, now, again=again)
